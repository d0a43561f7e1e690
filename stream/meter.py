"""Meter: what a live run has delivered and how late, in a memory that does not grow."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stream.frame import Frame
from stream.interfaces import Sink

_BIN = math.log(1.01)  # a hundredth wide: what percentiles may be wrong by
_RECENT_S = 5.0


class Histogram:
    """Counts durations in bins of one percent; percentiles of any number of them."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, value_ns: int) -> None:
        """Count one duration."""
        self._counts[round(math.log(max(value_ns, 1)) / _BIN)] += 1

    def percentile_ms(self, percent: float) -> float:
        """So many percent are no longer than this, within half a percent of it; 0 if none."""
        wanted, so_far = self._counts.total() * percent / 100, 0
        for number in sorted(self._counts):
            so_far += self._counts[number]
            if so_far >= wanted:
                return math.exp(number * _BIN) / 1e6
        return 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """How a live run does: over the last seconds, and in all."""

    fps: float
    latency_ms: tuple[float, float]  # p50, p95
    frames: int  # delivered
    stand_ins: int  # of which without a picture


class Meter:
    """A sink before the sink: passes frames on and measures when they are delivered.

    The latency is a frame's age when the output has taken it, counted from when the camera gave
    it; a reader of a virtual camera gets it at once.
    """

    def __init__(self, sink: Sink, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.frames = self.stand_ins = 0
        self.latency, self.longest_gap_ms = Histogram(), 0.0
        self._sink, self._now_ns = sink, now_ns
        self._recent: deque[tuple[int, int | None]] = deque()  # (delivered, latency), ns

    def write(self, frame: Frame) -> None:
        """Pass a frame on."""
        self._sink.write(frame)
        now_ns = self._now_ns()
        latency_ns = None if frame.stand_in is not None else now_ns - frame.captured_ns
        self.frames += 1
        if latency_ns is None:
            self.stand_ins += 1
        else:
            self.latency.add(latency_ns)
        if self._recent:
            self.longest_gap_ms = max(self.longest_gap_ms, (now_ns - self._recent[-1][0]) / 1e6)
        self._recent.append((now_ns, latency_ns))
        while now_ns - self._recent[0][0] > _RECENT_S * 1e9:
            self._recent.popleft()

    def rest(self) -> None:
        """Nothing is delivered from now on, until somebody looks: no gap is counted."""
        self._recent.clear()

    def figures(self) -> Figures:
        """How it does now; from any thread."""
        recent = list(self._recent)
        ages = sorted(age for _, age in recent if age is not None)
        spans_s = (recent[-1][0] - recent[0][0]) / 1e9 if len(recent) > 1 else 0.0
        return Figures(
            (len(recent) - 1) / spans_s if spans_s else 0.0,
            (percentile(ages, 50) / 1e6, percentile(ages, 95) / 1e6),
            self.frames,
            self.stand_ins,
        )

    def close(self) -> None:
        """The sink is closed by who opened it."""


def percentile(ordered: Sequence[float], percent: int) -> float:
    """So many percent of the values are no larger than this; 0 if there are none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
