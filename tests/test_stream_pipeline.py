"""The straight line: every frame, in order, each under its own matte; and what the clock says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from stream import pipeline
from stream.backgrounds import open_background
from stream.foreground import as_it_came, clean
from stream.frame import Frame
from stream.matte import MatteRefiner
from stream.overlap import ReadAhead, WriteBehind
from stream.pipeline import StageClock, run
from stream.segmenter import Segmenter

SIZE_HW = (32, 64)


class Numbers:
    """A source whose frames are as bright as their number."""

    is_live = False

    def __init__(self, make_frame, count: int) -> None:
        self._frames = [
            make_frame("gbrp", SIZE_HW, fill=(number,) * 3, pts=number * 7)
            for number in range(count)
        ]

    def __iter__(self) -> Iterator[Frame]:
        """The frames, once."""
        yield from self._frames

    def close(self) -> None:
        """Nothing is held."""


class Reads:
    """A backend whose alpha is the frame's number, in an array that it uses again."""

    name = "reads"

    def __init__(self) -> None:
        self._alpha = np.zeros((1, *SIZE_HW, 1), np.float32)

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """One size for all."""
        return SIZE_HW

    def infer(self, image: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """Overwrites the alpha of the call before."""
        self._alpha[:] = image[..., :1] / np.float32(255)
        return self._alpha

    def close(self) -> None:
        """Nothing is held."""


class Records:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def write(self, frame: Frame) -> None:
        """Remember one frame."""
        self.frames.append(frame)

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("overlapped", [False, True])
@pytest.mark.parametrize("spec", ["none", "matte", "transparent", "#ffffff", "blur"])
def test_every_frame_comes_out_in_order_with_its_own_time(make_frame, spec, overlapped) -> None:
    source, sink, told = Numbers(make_frame, 60), Records(), []
    into = WriteBehind(sink, 2) if overlapped else sink
    done = run(
        ReadAhead(source, 2) if overlapped else source,
        Segmenter(Reads()),
        MatteRefiner(),
        clean,
        open_background(spec),
        into,
        StageClock(),
        told.append,
        ahead=overlapped,
    )
    into.close()
    assert done == 60 and told == list(range(1, 61))
    assert [frame.pts for frame in sink.frames] == [number * 7 for number in range(60)]


@pytest.mark.parametrize("overlapped", [False, True])
def test_each_matte_lies_on_its_own_frame(make_frame, overlapped) -> None:
    sink = Records()
    source, into = Numbers(make_frame, 200), WriteBehind(sink, 3) if overlapped else sink
    run(
        ReadAhead(source, 3) if overlapped else source,
        Segmenter(Reads()),
        MatteRefiner(),
        clean,
        open_background("transparent"),
        into,
        StageClock(),
        lambda done: None,
        ahead=overlapped,
    )
    into.close()
    for number, frame in enumerate(sink.frames):
        *colors, alpha = frame.planes
        expected = np.clip((number / 255 - 0.1) / 0.8, 0, 1) * 255  # firm ends
        assert all(np.all(plane == number) for plane in colors), f"frame {number}"
        assert np.all(np.abs(alpha - expected) <= 0.51), f"frame {number}"


@pytest.mark.parametrize("ahead", [False, True])
def test_where_no_matte_is_trusted_the_background_is_alone(make_frame, ahead) -> None:
    class Gaps(Numbers):
        def __iter__(self) -> Iterator[Frame]:
            """Every third is a stand-in."""
            for number, frame in enumerate(self._frames):
                yield frame if number % 3 else replace(frame, stand_in="lost")

    sink, clock = Records(), StageClock()
    parts = (Segmenter(Reads()), MatteRefiner(), as_it_came, open_background("#ffffff"))
    assert run(Gaps(make_frame, 30), *parts, sink, clock, lambda done: None, ahead) == 30
    for number, frame in enumerate(sink.frames):
        alone = all(np.all(plane == 255) for plane in frame.planes)
        assert frame.stand_in == (None if number % 3 else "lost")
        assert alone == (number % 3 == 0 or number < 26)  # firm ends: below 0.1 is nobody
    assert clock.count("alone") == 10 and clock.count("matte") == 20


@pytest.mark.parametrize("ahead", [False, True])
def test_what_is_repeated_is_not_computed_again(make_frame, ahead) -> None:
    class Stutters(Numbers):
        def __iter__(self) -> Iterator[Frame]:
            """Each frame twice."""
            for frame in self._frames:
                yield frame
                yield replace(frame, pts=frame.pts + 3, repeats=True)

    sink, clock = Records(), StageClock()
    parts = (Segmenter(Reads()), MatteRefiner(), as_it_came, open_background("#ffffff"))
    assert run(Stutters(make_frame, 30), *parts, sink, clock, lambda done: None, ahead) == 60
    assert clock.count("segment") == clock.count("composite") == 30
    for first, second in zip(sink.frames[::2], sink.frames[1::2], strict=True):
        assert first.planes is second.planes and second.pts == first.pts + 3


@pytest.mark.parametrize("ahead", [False, True])
def test_a_sources_error_ends_the_line_after_what_came_before(make_frame, ahead) -> None:
    class Breaks(Numbers):
        def __iter__(self) -> Iterator[Frame]:
            """Three frames and an error."""
            yield from self._frames[:3]
            raise OSError("the cable came off")

    sink = Records()
    parts = (Segmenter(Reads()), MatteRefiner(), as_it_came, open_background("none"))
    with pytest.raises(OSError, match="the cable came off"):
        run(Breaks(make_frame, 9), *parts, sink, StageClock(), lambda done: None, ahead)
    assert [frame.pts for frame in sink.frames] == [0, 7, 14]


@pytest.mark.parametrize("ahead", [False, True])
def test_an_empty_source_is_no_frame(make_frame, ahead) -> None:
    parts = (Segmenter(Reads()), MatteRefiner(), as_it_came, open_background("none"), Records())
    assert run(Numbers(make_frame, 0), *parts, StageClock(), lambda done: None, ahead) == 0


def test_ahead_the_next_frame_is_segmented_while_this_one_waits(make_frame) -> None:
    """By a sink that does not take the first before the second is segmented."""
    segmented = [threading.Event() for _ in range(3)]

    class Tells(Segmenter):
        def segment(self, frame: Frame) -> np.ndarray | None:
            """As the real one, and say so."""
            alpha = super().segment(frame)
            segmented[frame.pts // 7].set()
            return alpha

    class Waits(Records):
        def write(self, frame: Frame) -> None:
            """Take a frame when the one after it is segmented."""
            assert segmented[min(frame.pts // 7 + 1, 2)].wait(10), "nothing went ahead"
            super().write(frame)

    parts = (MatteRefiner(), clean, open_background("#ffffff"), Waits(), StageClock())
    run(Numbers(make_frame, 3), Tells(Reads()), *parts, lambda done: None, ahead=True)


@pytest.mark.parametrize("ends", [OSError("disk full"), KeyboardInterrupt()])
def test_ahead_nothing_goes_on_after_an_error_of_the_sink(make_frame, ends) -> None:
    class Full(Records):
        def write(self, frame: Frame) -> None:
            """No frame fits."""
            raise ends

    before = threading.active_count()
    parts = (MatteRefiner(), clean, open_background("#ffffff"), Full(), StageClock())
    with pytest.raises(type(ends)):
        run(Numbers(make_frame, 50), Segmenter(Reads()), *parts, lambda done: None, ahead=True)
    assert threading.active_count() == before


# The clock


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch):
    """clocked(times in ms, warm_up) is a clock that saw one stage take these times."""

    def make(spent_ms: list[int], warm_up: int = 0) -> StageClock:
        ticks = [tick for spent in spent_ms for tick in (1_000, 1_000 + spent * 1_000_000)]
        injected = SimpleNamespace(perf_counter_ns=iter(ticks).__next__)
        monkeypatch.setattr(pipeline, "time", injected)
        clock = StageClock(warm_up)
        for _ in spent_ms:
            with clock("segment"):
                pass
        return clock

    return make


@pytest.mark.parametrize("count", [1, 2, 3, 10, 100, 101])
@pytest.mark.parametrize("percent", [0, 1, 25, 50, 90, 95, 99, 100])
def test_a_percentile_has_its_share_at_or_below_it(clocked, count, percent) -> None:
    spent = [int(value) for value in np.random.default_rng(count).permutation(count) + 1]
    (value,) = clocked(spent).percentiles_ms(percent)["segment"]
    assert value in spent
    assert sum(each <= value for each in spent) >= count * percent / 100
    assert sum(each >= value for each in spent) >= count * (100 - percent) / 100


def test_the_median_and_the_tail_of_known_times(clocked) -> None:
    p50, p95 = clocked(list(range(1, 102))).percentiles_ms(50, 95)["segment"]
    assert (p50, p95) == (51, 96)


def test_the_first_runs_are_left_out(clocked) -> None:
    clock = clocked([900, 800, 5, 5, 5], warm_up=2)
    assert clock.percentiles_ms(50, 100)["segment"] == (5, 5)


def test_a_run_as_short_as_the_warm_up_is_still_told(clocked) -> None:
    assert clocked([4, 4], warm_up=5).percentiles_ms(50)["segment"] == (4,)


def test_the_line_times_its_five_stages(make_frame) -> None:
    clock = StageClock()
    parts = (Segmenter(Reads()), MatteRefiner(), as_it_came, open_background("none"), Records())
    run(Numbers(make_frame, 8), *parts, clock, lambda done: None)
    table = clock.percentiles_ms(50, 95)
    assert list(table) == ["segment", "matte", "clean", "composite", "write"]
    assert all(0 <= p50 <= p95 for p50, p95 in table.values())
