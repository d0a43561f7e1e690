"""The straight line, and how long each stage took."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stream.foreground import Clean
from stream.interfaces import Background, Sink, Source
from stream.matte import MatteRefiner
from stream.segmenter import Segmenter

OnFrame = Callable[[int], None]  # told how many frames are done


class StageClock:
    """Measures the stages of the line; the first frames, which warm everything up, are left out."""

    def __init__(self, warm_up: int = 5) -> None:
        self._warm_up = warm_up
        self._spent_ns: dict[str, list[int]] = defaultdict(list)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block as one run of a stage."""
        began_ns = time.perf_counter_ns()
        yield
        self._spent_ns[stage].append(time.perf_counter_ns() - began_ns)

    def count(self, stage: str) -> int:
        """How often a stage was run to its end."""
        return len(self._spent_ns[stage])

    def percentiles_ms(self, *percents: int) -> dict[str, tuple[float, ...]]:
        """For each stage its times at these percentiles, in milliseconds."""
        table = {}
        for stage, spent_ns in self._spent_ns.items():
            ordered = sorted(spent_ns[self._warm_up :] or spent_ns)
            table[stage] = tuple(
                ordered[min(len(ordered) - 1, len(ordered) * p // 100)] / 1e6 for p in percents
            )
        return table


def run(
    source: Source,
    segmenter: Segmenter,
    matte: MatteRefiner,
    clean: Clean,
    background: Background,
    sink: Sink,
    clock: StageClock,
    on_frame: OnFrame,
) -> int:
    """Carry every frame from source to sink, in order, until the source ends; how many it were."""
    for frame in source:
        with clock("segment"):
            alpha = segmenter.segment(frame)
        if alpha is None:
            with clock("alone"):
                frame = background.alone(frame)
        else:
            with clock("matte"):
                alpha = matte.refine(alpha, frame)
                frame = clean(frame, alpha)
            with clock("composite"):
                frame = background.compose(frame, alpha)
        with clock("write"):
            sink.write(frame)
        on_frame(clock.count("write"))
    return clock.count("write")
