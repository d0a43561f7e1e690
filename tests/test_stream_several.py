"""Several sinks at once: which failure ends what."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stream import StreamError
from stream.frame import Frame
from stream.sinks import SinkLost
from stream.sinks.several import Several

MakeFrame = Callable[..., Frame]


class Kept:
    """A sink that keeps what it is given, until it fails."""

    def __init__(self, fails: StreamError | None = None, at: int = 2) -> None:
        self.frames: list[Frame] = []
        self.closed = 0
        self.fails, self.at = fails, at

    def write(self, frame: Frame) -> None:
        if self.fails is not None and len(self.frames) == self.at:
            raise self.fails
        self.frames.append(frame)

    def close(self) -> None:
        self.closed += 1


def test_each_gets_every_frame_in_order(make_frame: MakeFrame) -> None:
    frames = [make_frame(pts=number) for number in range(3)]
    sinks = [Kept(), Kept()]
    several = Several(sinks)
    for frame in frames:
        several.write(frame)
    assert [sink.frames for sink in sinks] == [frames, frames]


def test_a_failed_recording_leaves_the_call_running(
    make_frame: MakeFrame, caplog: pytest.LogCaptureFixture
) -> None:
    call, recording = Kept(), Kept(StreamError("the disk is full"))
    several = Several([call, recording])
    for number in range(5):
        several.write(make_frame(pts=number))
    assert (len(call.frames), len(recording.frames)) == (5, 2)
    assert caplog.messages == ["the disk is full"]
    assert (call.closed, recording.closed) == (0, 1)


def test_a_lost_virtual_camera_is_raised(make_frame: MakeFrame) -> None:
    several = Several([Kept(), Kept(SinkLost("gone"))])
    with pytest.raises(SinkLost, match="gone"):
        for number in range(5):
            several.write(make_frame(pts=number))


def test_the_last_one_to_fail_is_raised(make_frame: MakeFrame) -> None:
    several = Several([Kept(StreamError("first")), Kept(StreamError("last"), at=3)])
    for number in range(3):
        several.write(make_frame(pts=number))
    with pytest.raises(StreamError, match="last"):
        several.write(make_frame(pts=3))


def test_a_bug_is_not_taken_for_a_failed_recording(make_frame: MakeFrame) -> None:
    several = Several([Kept(), Kept(ZeroDivisionError())])  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        for number in range(5):
            several.write(make_frame(pts=number))


def test_all_are_closed_even_if_one_fails() -> None:
    class Stuck(Kept):
        def close(self) -> None:
            super().close()
            raise StreamError("cannot finish")

    sinks = [Kept(), Stuck(), Kept()]
    with pytest.raises(StreamError, match="cannot finish"):
        Several(sinks).close()
    assert [sink.closed for sink in sinks] == [1, 1, 1]
