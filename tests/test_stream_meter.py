"""Meter: percentiles within a bin of NumPy's, gaps, rates, memory that does not grow."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from stream.frame import Frame
from stream.meter import Histogram, Meter

TICK_NS = 33_333_333


class Counts:
    """A sink that counts."""

    written = 0

    def write(self, frame: Frame) -> None:
        """Count."""
        self.written += 1

    def close(self) -> None:
        """Nothing is held."""


class Run:
    """A meter that frames pass at times of our own."""

    def __init__(self, blank: Frame) -> None:
        self.now_ns, self.sink, self._blank = 10**12, Counts(), blank
        self.meter = Meter(self.sink, lambda: self.now_ns)

    def write(self, latencies_ms, tick_ns: int = TICK_NS, stand_in: str | None = None) -> None:
        """A frame every tick, so late."""
        for late_ms in latencies_ms:
            self.now_ns += tick_ns
            captured_ns = self.now_ns - round(late_ms * 1e6)
            self.meter.write(replace(self._blank, captured_ns=captured_ns, stand_in=stand_in))


@pytest.fixture
def run(make_frame) -> Run:
    return Run(make_frame("gray", (2, 2)))


SPREADS = {
    "normal": lambda rng: rng.normal(40, 6, 4000),
    "long tail": lambda rng: rng.lognormal(3, 1.2, 4000),
    "two heaps": lambda rng: np.concatenate([rng.normal(20, 1, 3900), rng.normal(900, 9, 100)]),
    "one": lambda rng: np.array([41.7]),
    "few": lambda rng: rng.uniform(5, 500, 7),
}


@pytest.mark.parametrize("percent", [1, 50, 95, 99, 100])
@pytest.mark.parametrize("spread", SPREADS)
def test_percentiles_are_numpys_within_a_bin(spread, percent) -> None:
    durations_ms = SPREADS[spread](np.random.default_rng(1))
    histogram = Histogram()
    for duration_ms in durations_ms:
        histogram.add(round(duration_ms * 1e6))
    expected = np.percentile(durations_ms, percent, method="inverted_cdf")
    assert histogram.percentile_ms(percent) == pytest.approx(expected, rel=0.0051)  # half a bin


def test_the_line_shows_the_last_seconds_and_the_report_all(run) -> None:
    run.write([10.0] * 900)
    run.write([80.0] * 300)
    assert run.meter.figures().latency_ms == (80, 80)
    assert run.meter.latency.percentile_ms(50) == pytest.approx(10, rel=0.0051)
    assert run.meter.latency.percentile_ms(95) == pytest.approx(80, rel=0.0051)
    assert run.sink.written == run.meter.figures().frames == 1200


@pytest.mark.parametrize("tick_ns", [TICK_NS, 33_366_667, 16_666_667, 200_000_000])
def test_fps(run, tick_ns) -> None:
    assert run.meter.figures().fps == 0
    run.write([1.0] * 500, tick_ns)
    assert run.meter.figures().fps == pytest.approx(1e9 / tick_ns)


def test_the_longest_gap_but_none_while_nobody_watched(run) -> None:
    run.write([1.0] * 10)
    run.write([1.0], 87_000_000)
    run.write([1.0] * 10)
    assert run.meter.longest_gap_ms == 87
    run.meter.rest()
    run.write([1.0], 10**12)
    run.write([1.0] * 10)
    assert run.meter.longest_gap_ms == 87
    run.write([1.0], 9 * 10**9)  # longer than what the line remembers
    assert run.meter.longest_gap_ms == 9000


def test_a_stand_in_is_delivered_but_late_for_nothing(run) -> None:
    run.write([500.0] * 30, stand_in="camera lost, waiting")
    figures = run.meter.figures()
    assert (figures.frames, figures.stand_ins, figures.latency_ms) == (30, 30, (0, 0))
    assert figures.fps == pytest.approx(1e9 / TICK_NS)
    assert run.meter.latency.percentile_ms(99) == 0


def test_memory_does_not_grow_with_the_run(run) -> None:
    rng = np.random.default_rng(0)
    run.write(rng.lognormal(3, 1, 6000))
    tracemalloc.start()
    run.write(rng.lognormal(3, 1, 20_000))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 200_000  # five seconds of frames; 20,000 would take 3 MB
