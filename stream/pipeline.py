"""The straight line, and how long each stage took."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol

from stream.foreground import Clean
from stream.frame import Alpha, Frame
from stream.interfaces import Background, Sink, Source
from stream.meter import percentile
from stream.overlap import ReadAhead

_KEPT = 20_000  # times of each stage: eleven minutes of a call, which may last for hours

OnFrame = Callable[[int], None]  # told how many frames are done


class Segmenter(Protocol):
    """Finds the people of a frame."""

    def segment(self, frame: Frame) -> Alpha | None:
        """The alpha of a frame, of any size; None where there is none to be trusted."""
        ...


class MatteRefiner(Protocol):
    """Brings mattes to the frames' size."""

    def refine(self, alpha: Alpha, frame: Frame) -> Alpha:
        """(h, w) → (H, W) of the frame's."""
        ...


class Stages(NamedTuple):
    """What a frame goes through between source and sink; on a GPU, the twins of these."""

    segmenter: Segmenter
    matte: MatteRefiner
    clean: Clean
    background: Background


class StageClock:
    """Measures the stages of the line; the first frames, which warm everything up, are left out."""

    def __init__(self, warm_up: int = 5) -> None:
        self._warm_up = warm_up
        self._spent_ns: dict[str, deque[int]] = defaultdict(partial(deque, maxlen=_KEPT))
        self._counts: Counter[str] = Counter()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block as one run of a stage."""
        began_ns = time.perf_counter_ns()
        yield
        self._spent_ns[stage].append(time.perf_counter_ns() - began_ns)
        self._counts[stage] += 1

    def clear(self) -> None:
        """Forget all times so far, not how often the stages were run."""
        self._spent_ns.clear()

    def count(self, stage: str) -> int:
        """How often a stage was run to its end."""
        return self._counts[stage]

    def times_ms(self) -> dict[str, list[float]]:
        """For each stage its last times, in the order in which they were, in milliseconds."""
        times = {}
        for stage, spent_ns in self._spent_ns.items():
            cold = self._warm_up if self._counts[stage] <= _KEPT else 0
            times[stage] = [each / 1e6 for each in list(spent_ns)[cold:] or spent_ns]
        return times

    def percentiles_ms(self, *percents: int) -> dict[str, tuple[float, ...]]:
        """For each stage its last times at these percentiles, in milliseconds."""
        return {
            stage: tuple(percentile(sorted(times), percent) for percent in percents)
            for stage, times in self.times_ms().items()
        }


class _Matted:
    """The frames of a source, each with its own matte. A frame that repeats has none."""

    def __init__(self, source: Source, segmenter: Segmenter, clock: StageClock) -> None:
        self.is_live = source.is_live
        self._source, self._segmenter, self._clock = source, segmenter, clock

    def __iter__(self) -> Iterator[tuple[Frame, Alpha | None]]:
        """Once."""
        for number, frame in enumerate(self._source):
            if number and frame.repeats:
                yield frame, None
                continue
            with self._clock("segment"):
                alpha = self._segmenter.segment(frame)
            yield frame, alpha

    def close(self) -> None:
        """The source's owner closes it."""


def run(
    source: Source,
    segmenter: Segmenter,
    matte: MatteRefiner,
    clean: Clean,
    background: Background,
    sink: Sink,
    clock: StageClock,
    on_frame: OnFrame,
    ahead: bool = False,
) -> int:
    """Carry every frame from source to sink, in order, until the source ends; how many it were.

    With `ahead`, a thread of its own segments the next frame while this one is composited.
    """
    shown: Frame | None = None
    matted = _Matted(source, segmenter, clock)
    with closing(ReadAhead(matted, 1) if ahead else matted) as frames:
        for frame, alpha in frames:
            if frame.repeats and shown is not None:
                shown = replace(shown, pts=frame.pts)
            else:
                shown = composed(frame, alpha, matte, clean, background, clock)
            with clock("write"):
                sink.write(shown)
            on_frame(clock.count("write"))
    return clock.count("write")


def composed(
    frame: Frame,
    alpha: Alpha | None,
    matte: MatteRefiner,
    clean: Clean,
    background: Background,
    clock: StageClock,
) -> Frame:
    """A frame's composite; the background alone where there is no matte to be trusted."""
    if alpha is None:
        with clock("alone"):
            return background.alone(frame)
    with clock("matte"):
        alpha = matte.refine(alpha, frame)
    with clock("clean"):
        frame = clean(frame, alpha)
    with clock("composite"):
        return background.compose(frame, alpha)
