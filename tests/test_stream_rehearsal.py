"""Rehearsal: a clip plays as a camera would."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stream import StreamError
from stream.frame import Frame
from stream.sources import rehearsal
from stream.sources.camera import SourceLost
from stream.sources.rehearsal import Rehearsal

MakeClip = Callable[..., Path]


class Clock:
    """A time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000

    def monotonic_ns(self) -> int:
        """As time's."""
        return self.now_ns

    def wait(self, event: threading.Event, timeout: float) -> bool:
        """As an event's; `timeout` passes at once."""
        self.now_ns += round(timeout * 1e9)
        return event.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which the rehearsal plays."""
    clock = Clock()

    class Event(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return clock.wait(self, timeout or 0)

    monkeypatch.setattr(rehearsal, "time", SimpleNamespace(monotonic_ns=clock.monotonic_ns))
    monkeypatch.setattr(rehearsal, "threading", SimpleNamespace(Event=Event))
    return clock


def played(make_clip: MakeClip, name: str, frames: int, rate: int | Fraction) -> str:
    """The path of a clip of so many frames."""
    tick = 1 / Fraction(rate)
    return str(make_clip(name, pts=list(range(frames)), time_base=tick, rate=Fraction(rate)))


def taken(source: Rehearsal, count: int) -> list[Frame]:
    """The first frames; the source is closed."""
    frames = list(islice(source, count))
    source.close()
    source.close()
    return frames


def seconds(frames: list[Frame], clock_began_ns: int = 1_000_000_000) -> list[float]:
    """When the frames came, since the clock began."""
    return [(frame.captured_ns - clock_began_ns) / 1e9 for frame in frames]


def test_it_plays_by_the_clips_own_times_over_and_over(make_clip: MakeClip, clock: Clock) -> None:
    path = played(make_clip, "clip.mp4", 5, 25)
    frames = taken(Rehearsal(path, None, None), 12)
    np.testing.assert_allclose(seconds(frames), np.arange(12) / 25, atol=2e-3)
    assert [frame.planes[0].tobytes() for frame in frames[:5]] == [
        frame.planes[0].tobytes() for frame in frames[5:10]
    ]


def test_frames_are_live_frames_of_the_size_that_was_asked(
    make_clip: MakeClip, clock: Clock
) -> None:
    source = Rehearsal(played(make_clip, "clip.mp4", 2, 25), (72, 128), None)
    assert source.size_hw == (72, 128) and source.granted.startswith("128×72 at ")
    (frame,) = taken(source, 1)
    assert [plane.shape for plane in frame.planes] == [(72, 128), (36, 64), (36, 64)]
    assert (frame.format, frame.color.matrix, frame.color.full_range) == ("yuv420p", 6, False)
    assert frame.time_base == Fraction(1, 1_000_000)


def test_a_faster_clip_is_thinned_out_and_a_slower_one_is_not(
    make_clip: MakeClip, clock: Clock
) -> None:
    path = played(make_clip, "clip.mp4", 20, 50)
    began_ns = clock.now_ns
    assert Rehearsal(path, None, Fraction(25)).rate == 25
    frames = taken(Rehearsal(path, None, Fraction(25)), 6)
    np.testing.assert_allclose(seconds(frames, began_ns), np.arange(6) / 25, atol=2e-3)
    assert Rehearsal(path, None, Fraction(60)).rate == 50


def test_what_is_late_is_not_caught_up_with(make_clip: MakeClip, clock: Clock) -> None:
    source = Rehearsal(played(make_clip, "clip.mp4", 5, 25), None, None)
    frames = iter(source)
    next(frames)
    clock.now_ns += 5_000_000_000  # the machine slept
    after = [next(frames) for _ in range(3)]
    assert np.diff(seconds(after)) == pytest.approx(1 / 25, abs=2e-3)
    source.close()
    assert next(frames, None) is None


def test_a_stream_sets_the_pace_itself_and_is_lost_when_it_ends(
    make_clip: MakeClip, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = rehearsal.VideoFile(played(make_clip, "clip.mkv", 4, 1))
    monkeypatch.setattr(type(clip), "frames_expected", None)
    monkeypatch.setattr(rehearsal, "VideoFile", lambda path: clip)
    source = Rehearsal("rtsp://camera/1", None, None)
    seen = 0
    with pytest.raises(SourceLost, match="rtsp://camera/1 has ended"):
        for _ in source:
            seen += 1
    assert seen == 4
    assert clock.now_ns == 1_000_000_000  # nothing was waited for


def test_closing_ends_a_wait(make_clip: MakeClip) -> None:
    """Without the clock: the wait is a real one, of ten seconds, and is not waited out."""
    source = Rehearsal(played(make_clip, "clip.mkv", 3, Fraction(1, 10)), None, None)
    frames: Iterator[Frame] = iter(source)
    next(frames)
    rest: list[Frame] = []
    player = threading.Thread(target=lambda: rest.extend(frames))
    player.start()
    source.close()
    player.join(8)
    assert not player.is_alive() and rest == []


def test_what_is_no_clip_is_said(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r"cannot find .*talk\.mp4"):
        Rehearsal(str(tmp_path / "talk.mp4"), None, None)
