"""Live: a camera that is lost and found, paused and watched by nobody; frames never cease."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from stream import StreamError
from stream.control import LiveControl, Settings
from stream.frame import Frame, gray_frame
from stream.latest import Latest
from stream.sources import live
from stream.sources.live import PAUSED, WAITING, Live, mirrored

SIZE_HW = (32, 64)


class Camera:
    """Gives the frames that a test shows it; None in the queue is the cable coming off."""

    is_live = True
    broken = 3

    def __init__(self) -> None:
        self.shown: queue.Queue[Frame | type[Exception] | None] = queue.Queue()
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        """What is shown, until it is lost."""
        while not self.closed:
            try:
                frame = self.shown.get(timeout=0.02)
            except queue.Empty:
                continue
            if frame is None:
                raise StreamError("the camera was lost")
            if isinstance(frame, type):
                raise frame("a bug")
            yield frame

    def close(self) -> None:
        """Give no more."""
        self.closed = True


def bright(value: int, size_hw: tuple[int, int] = SIZE_HW) -> Frame:
    """A frame of one luma."""
    frame = gray_frame(size_hw)
    luma = np.full_like(frame.planes[0], value)
    return frame.with_planes((luma, *frame.planes[1:]))


@pytest.fixture
def control() -> LiveControl:
    """Somebody watches."""
    return LiveControl(Settings("blur"))


@pytest.fixture
def watch(control: LiveControl, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Live]]:
    """watch(cameras...) is a running Live that has the first and finds the others, in turn."""
    monkeypatch.setattr(live, "_RETRY_S", 0.01)
    made: list[Live] = []
    cameras: list[Camera] = []

    def make(first: Camera, *others: Camera | StreamError | None) -> Live:
        waiting = list(others)
        cameras.extend(each for each in (first, *others) if isinstance(each, Camera))

        def reopen() -> Camera | None:
            found = waiting.pop(0) if waiting else None
            if isinstance(found, StreamError):
                raise found
            return found

        made.append(Live(first, reopen, gray_frame(SIZE_HW), 100.0, control))
        return made[-1]

    yield make
    for camera in cameras:
        camera.closed = True
    for each in made:
        each.close()


def until(frames: Iterator[Frame], wanted: Callable[[Frame], bool]) -> list[Frame]:
    """The frames up to the first wanted one; fails where that does not come."""
    seen = []
    for _ in range(2000):
        seen.append(next(frames))
        if wanted(seen[-1]):
            return seen
    raise AssertionError(f"in {len(seen)} frames there was none: {seen[-1].stand_in!r}")


def is_picture(value: int) -> Callable[[Frame], bool]:
    return lambda frame: frame.stand_in is None and int(frame.planes[0][0, 0]) == value


def tells(text: str) -> Callable[[Frame], bool]:
    return lambda frame: frame.stand_in == text


def test_frames_come_through_and_time_goes_on(watch) -> None:
    camera = Camera()
    frames = iter(watch(camera))
    pts = []
    for value in (10, 20, 30, 40):
        camera.shown.put(bright(value))
        pts += [frame.pts for frame in until(frames, is_picture(value))]
    assert pts == sorted(set(pts))


def test_before_the_first_picture_there_is_none(watch) -> None:
    frames = iter(watch(Camera()))
    seen = [next(frames) for _ in range(5)]
    assert [frame.stand_in for frame in seen] == [""] * 5
    assert all(np.all(plane == 128) for frame in seen for plane in frame.planes)


def test_a_camera_that_does_not_begin_is_awaited_aloud(watch, monkeypatch) -> None:
    monkeypatch.setattr(live, "_START_S", 0.05)
    until(iter(watch(Camera())), tells(WAITING))


def test_a_lost_camera_shows_nothing_old_and_comes_back(watch) -> None:
    first, second = Camera(), Camera()
    line = watch(first, None, StreamError("it is used by another program"), None, second)
    frames = iter(line)
    first.shown.put(bright(10))
    until(frames, is_picture(10))
    first.shown.put(None)
    until(frames, tells(WAITING))
    assert first.closed and line.trouble == WAITING
    second.shown.put(bright(20))
    between = until(frames, is_picture(20))[:-1]
    assert {frame.stand_in for frame in between} <= {WAITING}
    assert line.losses == 1 and line.trouble == ""


def test_a_short_silence_shows_the_last_frame_a_long_one_none(watch, monkeypatch) -> None:
    monkeypatch.setattr(live, "_FREEZE_S", 0.2)
    camera = Camera()
    line = watch(camera)
    frames = iter(line)
    camera.shown.put(bright(10))
    until(frames, is_picture(10))
    seen = until(frames, tells(WAITING))
    repeated = seen[:-1]
    assert repeated and all(is_picture(10)(frame) and frame.repeats for frame in repeated)
    assert len({frame.pts for frame in seen}) == len(seen)
    assert len({frame.captured_ns for frame in repeated}) == 1, "its age is told as it is"
    camera.shown.put(bright(20))
    until(frames, is_picture(20))


def test_nobody_watching_closes_the_camera_until_somebody_does(watch, control) -> None:
    first, second = Camera(), Camera()
    frames = iter(watch(first, second))
    first.shown.put(bright(10))
    until(frames, is_picture(10))
    control.change(watched=False)
    assert until(frames, lambda frame: True)[0].stand_in == "", "no old picture waits"
    first.shown.put(bright(11))  # the thread looks up at the next frame
    while not first.closed:
        pass
    control.change(watched=True)
    assert next(frames).stand_in == "", "the reader gets something at once"
    second.shown.put(bright(20))
    seen = until(frames, is_picture(20))
    assert all(frame.stand_in == "" for frame in seen[:-1])


def test_a_pause_shows_no_picture_and_closes_the_camera(watch, control) -> None:
    first, second = Camera(), Camera()
    frames = iter(watch(first, second))
    first.shown.put(bright(10))
    until(frames, is_picture(10))
    control.change(paused=True)
    first.shown.put(bright(11))
    seen = [next(frames) for _ in range(20)]
    assert {frame.stand_in for frame in seen} == {PAUSED}
    while not first.closed:
        pass
    control.change(paused=False)
    second.shown.put(bright(20))
    assert {frame.stand_in for frame in until(frames, is_picture(20))[:-1]} <= {""}


def test_the_mirror_turns_pictures_only(watch, control) -> None:
    camera = Camera()
    frames = iter(watch(camera))
    ramp = gray_frame(SIZE_HW)
    luma = np.tile(np.arange(64, dtype=np.uint8), (32, 1))
    ramp = ramp.with_planes((luma, *ramp.planes[1:]))
    control.change(mirror=True)
    camera.shown.put(ramp)
    frame = until(frames, lambda frame: frame.stand_in is None)[-1]
    assert np.array_equal(frame.planes[0], luma[:, ::-1])
    assert np.array_equal(mirrored(frame).planes[0], luma)


def test_a_camera_that_comes_back_with_another_size_is_fitted(watch) -> None:
    camera = Camera()
    frames = iter(watch(camera))
    camera.shown.put(bright(90, (48, 64)))
    frame = until(frames, lambda frame: frame.stand_in is None)[-1]
    assert [plane.shape for plane in frame.planes] == [(32, 64), (16, 32), (16, 32)]
    assert np.all(np.abs(frame.planes[0].astype(int) - 90) <= 1)


def test_a_bug_in_capturing_is_a_loss_and_told_in_full(watch, caplog) -> None:
    first, second = Camera(), Camera()
    line = watch(first, second)
    frames = iter(line)
    first.shown.put(ZeroDivisionError)
    second.shown.put(bright(20))
    until(frames, is_picture(20))
    assert line.losses == 1 and "ZeroDivisionError" in caplog.text


def test_broken_pictures_are_summed_up(watch) -> None:
    first, second = Camera(), Camera()
    line = watch(first, second)
    frames = iter(line)
    first.shown.put(None)
    second.shown.put(bright(20))
    until(frames, is_picture(20))
    assert line.broken == 3


def test_a_mirror_starts_anew(watch, control) -> None:
    camera = Camera()
    frames = iter(watch(camera))
    camera.shown.put(bright(10))
    until(frames, is_picture(10))
    control.change(mirror=True)
    assert next(frames).stand_in == "", "the matte of the frame before does not fit"
    camera.shown.put(bright(20))
    until(frames, is_picture(20))


def test_it_ends_when_told_also_while_nobody_watches(watch, control) -> None:
    frames = iter(watch(Camera()))
    control.change(watched=False)
    next(frames)
    control.change(ended=True)
    assert next(frames, None) is None


def test_close_twice_closes_the_camera(watch) -> None:
    camera = Camera()
    line = watch(camera)
    for value in range(100):
        camera.shown.put(bright(value))
    line.close()
    line.close()
    assert camera.closed


# The mailbox


def test_the_newest_wins_and_what_is_lost_is_counted() -> None:
    latest = Latest()
    for value in range(5):
        latest.put(bright(value))
    frame = latest.get(0)
    assert frame is not None and is_picture(4)(frame)
    assert latest.dropped == 4 and latest.get(0) is None
    latest.put(bright(9))
    latest.clear()
    assert latest.get(0) is None and latest.dropped == 4
