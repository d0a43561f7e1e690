"""BenchLine: the app's own line between frames made ahead and nothing, in parts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from functools import lru_cache, partial
from itertools import islice
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from stream import StreamError
from stream.backends import open_backend
from stream.backgrounds import open_background
from stream.bench_config import BenchConfig
from stream.bench_report import Part, Result, pooled
from stream.config import LiveConfig
from stream.control import LiveControl, Settings
from stream.frame import Frame
from stream.interfaces import Backend
from stream.main import (
    cleaning,
    held,
    limit_threads,
    line_on_gpu,
    processors,
    refiner,
    shared_out,
)
from stream.networks import Precision
from stream.pipeline import OnFrame, StageClock, Stages, run
from stream.segmenter import CautiousSegmenter, Segmenter, display_hw
from stream.sinks.discard import Discard
from stream.sources.live import Live
from stream.sources.test_pattern import Loop, drawn, frames_of

WARM_UP = 15  # frames at the start of each part that are not counted
_MORE = 4  # after the last that counts: what is ahead of it is then as much as of the first
_SIZE_HW = (720, 1280)


class BenchLine:
    """One setting's line, opened once and run part by part.

    Unpaced, every frame goes through the network; at a rate the line is live's, with its capture
    thread and its mailbox, where the newest frame wins.
    """

    def __init__(self, config: BenchConfig, name: str) -> None:
        """Raises StreamError for what cannot be opened."""
        self.name = name
        self._config, self._stack = config, ExitStack()
        self._frames = made_ahead(config)
        is_call = config.rate is not None
        self._threads = config.threads or (LiveConfig().threads if is_call else processors())
        self._is_ahead = not is_call and self._threads > 1
        for_network, self._for_opencv = shared_out(self._threads, self._is_ahead)
        with self._stack:
            opened = partial(held, self._stack)
            self._background = opened(open_background(config.background))
            shown_hw = display_hw(self._frames[0])
            backend = opened(
                open_backend(
                    config.network,
                    engine=config.engine,
                    precision=config.precision,
                    threads=for_network,
                    shown_hw=shown_hw,
                )
            )
            backend.fit(shown_hw)
            self._backend = _Watched(backend)
            self._segmenter = (CautiousSegmenter if is_call else Segmenter)(self._backend)
            self._stages = Stages(
                self._segmenter,
                refiner(config),
                cleaning(config, self._background),
                self._background,
            )
            self._gpu = line_on_gpu(
                self._stack, self._stages, backend=backend, config=config, like=self._frames[0]
            )
            self._stack = self._stack.pop_all()

    def run(self, frames: int) -> Part:
        """Carry so many frames, after some that warm up."""
        clock, sink = StageClock(warm_up=0), Discard()
        loop = Loop(self._frames, self._config.rate)
        control = LiveControl(Settings(self._config.background))
        marks: list[tuple[float, int, int]] = []  # when warm and at the end
        runs_before, is_call = self._runs(), self._config.rate is not None

        def on_frame(done: int) -> None:
            if done in (WARM_UP, WARM_UP + frames):
                marks.append((time.process_time(), self._runs(), source.dropped))
            if done == WARM_UP and is_call:
                clock.clear()
            elif done == WARM_UP + frames:
                control.change(ended=True)

        self._backend.clock = clock
        with closing(self._source(loop, frames, control)) as source:
            self._carry(source, sink, clock, on_frame)
        cpu_s, runs, dropped = (after - before for before, after in zip(*marks, strict=True))
        if not is_call:  # at the marks, some were ahead
            runs = self._runs() - runs_before - WARM_UP - _MORE
        return Part(
            frames=frames,
            seconds=sink.seconds(WARM_UP, WARM_UP + frames),
            cpu_s=cpu_s,
            ages_ms=sink.ages_ms(WARM_UP, WARM_UP + frames),
            stages_ms=_stages(clock.times_ms(), frames, 0 if is_call else _MORE),
            network_runs=round(runs),
            dropped=round(dropped),
        )

    def _carry(
        self, source: _First | Live, sink: Discard, clock: StageClock, on_frame: OnFrame
    ) -> None:
        limit_threads(self._for_opencv)
        self._segmenter.forget()
        if self._gpu is None:
            run(source, *self._stages, sink, clock, on_frame, ahead=self._is_ahead)
            return
        with closing(self._gpu.down(sink, source.is_live)) as down:
            run(self._gpu.up(source), *self._gpu.stages, down, clock, on_frame)

    def _runs(self) -> int:
        """Of the network, so far."""
        return self._backend.runs + (self._gpu.network_runs if self._gpu else 0)

    def _source(self, loop: Loop, frames: int, control: LiveControl) -> _First | Live:
        if self._config.rate is None:
            return _First(loop, WARM_UP + frames + _MORE)
        return Live(loop, lambda: None, self._frames[0], self._config.rate, control)

    def result(self, parts: Sequence[Part], peak_rss_mb: float | None) -> Result:
        """The figures of all its parts. Raises StreamError where a frame had no own matte."""
        words = self._backend.name.split(", ")
        result = pooled(
            parts,
            name=self.name,
            size=self._frames[0].size_hw,
            background=self._config.background,
            rate=self._config.rate,
            threads=self._threads,
            engine=self._backend.name,
            precision=next((word for word in words if word in get_args(Precision)), None),
            peak_rss_mb=peak_rss_mb,
        )
        if self._config.rate is None and result.network_runs != result.frames:
            raise StreamError(
                f"the network ran {result.network_runs} times for {result.frames} frames: these "
                "are no figures of whole frames"
            )
        return result

    def close(self) -> None:
        """Free the engine and the background; safe to call twice."""
        self._stack.close()


def made_ahead(config: BenchConfig) -> list[Frame]:
    """The frames of the clip or of the test pattern. Raises StreamError."""
    return _frames(config.input, config.size_hw)


@lru_cache(maxsize=1)  # contenders are shown the same, and need not each hold it
def _frames(clip: str | None, size_hw: tuple[int, int] | None) -> list[Frame]:
    return drawn(size_hw or _SIZE_HW) if clip is None else frames_of(clip, size_hw)


def _stages(times_ms: dict[str, list[float]], frames: int, more: int) -> dict[str, list[float]]:
    """The stages of the last frames but so many more, segmenting in two: what the network gets
    ready, and itself.

    On a GPU there are two: asking for the steps, and waiting for what became of a frame before.
    """
    if "network" in times_ms:
        whole, network = times_ms.pop("segment"), times_ms.pop("network")
        # A stand-in is segmented without the network; there is none but while something is lost.
        ready = [both - part for both, part in zip(whole[-len(network) :], network, strict=True)]
        stages = {"thumbnail": ready, "network": network, **times_ms}
    else:
        waited = times_ms.pop("write")
        asked = [sum(parts) for parts in zip(*times_ms.values(), strict=False)]
        stages = {"asked": asked, "awaited": waited}
    return {stage: spent[: len(spent) - more][-frames:] for stage, spent in stages.items()}


class _First:
    """So many frames of a loop, as a source."""

    is_live, dropped = False, 0

    def __init__(self, loop: Loop, count: int) -> None:
        self._loop, self._count = loop, count

    def __iter__(self) -> Iterator[Frame]:
        return islice(self._loop, self._count)

    def close(self) -> None:
        """Nothing is held."""


class _Watched:
    """An engine whose runs are counted and timed."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self.name = backend, backend.name
        self.clock, self.runs = StageClock(), 0
        self.fit, self.close = backend.fit, backend.close

    def infer(
        self, image: NDArray[np.float32], previous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """As the engine's."""
        self.runs += 1
        with self.clock("network"):
            return self._backend.infer(image, previous)
