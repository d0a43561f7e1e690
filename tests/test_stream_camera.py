"""Camera: the mode that is asked for, what is granted, and how it is lost."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import ClassVar

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stream import StreamError
from stream.sources import camera as camera_file
from stream.sources.camera import Camera, SourceLost
from stream.sources.cameras import CameraDevice
from stream.v4l2 import Format, Mode

RAW, JPEG = (
    Mode(fourcc, (720, 1280), Fraction(fps)) for fourcc, fps in (("YUYV", 10), ("MJPG", 30))
)
SMALL = Mode("YUYV", (360, 640), Fraction(30))
DEVICE = CameraDevice(0, "/dev/video0", "HD Webcam", "usb-1", modes=(RAW, JPEG, SMALL))

Picture = NDArray[np.uint8] | None  # None: OpenCV says that reading failed


class Driver:
    """OpenCV's capture and the driver below it, as a test wants them."""

    opened: ClassVar[list[Driver]]
    shows: ClassVar[dict[str, list[Picture]]]  # by format
    limits: ClassVar[dict[int, float]]  # what is granted whatever is asked
    refuses: ClassVar[bool]

    def __init__(self, number: int, backend: int, settings: list[int] | None = None) -> None:
        pairs = iter(settings or [])
        self.settings: dict[int, float] = {**dict(zip(pairs, pairs, strict=True)), **self.limits}
        self.released = 0
        self.opened.append(self)

    @property
    def fourcc(self) -> str:
        """The format that it is set to."""
        return int(self.settings.get(cv2.CAP_PROP_FOURCC, 0)).to_bytes(4, "little").decode()

    def set(self, name: int, value: float) -> bool:
        """As VideoCapture's."""
        self.settings.setdefault(name, value)
        return True

    def get(self, name: int) -> float:
        """As VideoCapture's."""
        return self.settings.get(name, 0)

    def isOpened(self) -> bool:
        """As VideoCapture's."""
        return not self.refuses

    def read(self) -> tuple[bool, Picture]:
        """The next picture of the test; after the last one reading fails."""
        assert not self.released, "read after release"
        pictures = self.shows[self.fourcc]
        picture = pictures.pop(0) if pictures else None
        return picture is not None, picture

    def release(self) -> None:
        """As VideoCapture's."""
        self.released += 1


def format_of(path: str) -> Format:
    """What the driver says it is set to."""
    now = Driver.opened[-1]
    h, w = now.get(cv2.CAP_PROP_FRAME_HEIGHT), now.get(cv2.CAP_PROP_FRAME_WIDTH)
    return Format((int(h), int(w)), now.fourcc, False)


@pytest.fixture(autouse=True)
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Driver]]:
    """A Linux whose camera gives what the test puts into `shows`."""
    Driver.opened, Driver.shows, Driver.limits, Driver.refuses = [], {}, {}, False
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(cv2, "VideoCapture", Driver)
    monkeypatch.setattr(camera_file, "format_of", format_of)
    yield Driver
    assert all(capture.released == 1 for capture in Driver.opened if not Driver.refuses)


def yuyv(luma: int, size_hw: tuple[int, int] = (720, 1280)) -> NDArray[np.uint8]:
    """A picture of one gray."""
    picture = np.full((*size_hw, 2), 128, np.uint8)
    picture[..., 0] = luma
    return picture


def jpeg(luma: int) -> NDArray[np.uint8]:
    """(1, N), a picture of one gray, of full range."""
    return cv2.imencode(".jpg", np.full((720, 1280), luma, np.uint8))[1].reshape(1, -1)


def lumas(camera: Camera) -> list[int]:
    """One value of each frame until the camera is lost."""
    seen = []
    with pytest.raises(SourceLost):
        for frame in camera:
            seen.append(int(frame.planes[0][0, 0]))
    camera.close()
    camera.close()
    return seen


def test_jpeg_is_asked_for_where_raw_pictures_are_slower(driver: type[Driver]) -> None:
    driver.shows["MJPG"] = [jpeg(0), jpeg(255)]
    camera = Camera(DEVICE, None, None)
    assert camera.granted == "1280×720 MJPG at 30 fps"
    assert (camera.size_hw, camera.rate, camera.notes) == ((720, 1280), 30, [])
    assert driver.opened[0].settings[cv2.CAP_PROP_CONVERT_RGB] == 0
    assert lumas(camera) == [16, 235]  # the first picture, too


def test_frames_are_live_frames(driver: type[Driver]) -> None:
    driver.shows["YUYV"] = [yuyv(50, (360, 640)), yuyv(51, (360, 640))]
    camera = Camera(DEVICE, (360, 640), None)
    one, two = next(it := iter(camera)), next(it)
    camera.close()
    assert next(it, None) is None  # closed is no loss
    assert (one.format, one.size_hw, one.time_base) == ("yuv420p", (360, 640), Fraction(1, 10**6))
    assert (one.color.matrix, one.color.full_range, one.stand_in) == (6, False, None)
    assert two.pts - one.pts == pytest.approx((two.captured_ns - one.captured_ns) / 1000, abs=1)


def test_a_mode_without_a_picture_is_left_for_the_next(driver: type[Driver]) -> None:
    driver.shows = {"MJPG": [], "YUYV": [yuyv(70, (360, 640))]}
    camera = Camera(DEVICE, None, None)
    assert [capture.fourcc for capture in driver.opened] == ["MJPG", "YUYV"]
    assert camera.granted == "640×360 YUYV at 30 fps"
    assert camera.notes == ["the camera has no 1280×720 at 30 fps"]
    assert lumas(camera) == [70]


def test_the_first_picture_may_be_late_or_broken(driver: type[Driver]) -> None:
    driver.shows["MJPG"] = [None, jpeg(0)[:, :99], jpeg(255), jpeg(0)]
    assert lumas(Camera(DEVICE, None, None)) == [235, 16]


def test_a_lower_rate_than_asked_is_said(driver: type[Driver]) -> None:
    driver.shows["YUYV"] = [yuyv(50)]
    driver.limits = {cv2.CAP_PROP_FPS: 7.5}
    camera = Camera(replace(DEVICE, modes=(RAW,)), None, None)
    assert (camera.granted, camera.rate) == ("1280×720 YUYV at 7.5 fps", Fraction(15, 2))
    assert camera.notes == ["the camera gives 7.5 fps, not 30: a smaller --size may be faster"]
    camera.close()


def test_what_the_driver_grants_counts_not_what_was_asked(driver: type[Driver]) -> None:
    driver.shows["YUYV"] = [yuyv(50, (361, 642))]
    driver.limits = {cv2.CAP_PROP_FRAME_HEIGHT: 361, cv2.CAP_PROP_FRAME_WIDTH: 642}
    camera = Camera(replace(DEVICE, modes=(RAW,)), None, None)
    assert camera.size_hw == (360, 642)
    assert next(iter(camera)).size_hw == (360, 642)
    camera.close()


def test_a_size_the_camera_has_not_is_refused_with_what_it_has() -> None:
    with pytest.raises(StreamError, match=r"to 1000×900: it has 640×360, 1280×720"):
        Camera(DEVICE, (900, 1000), None)
    assert Driver.opened == []


def test_no_picture_in_any_mode_is_an_error(driver: type[Driver]) -> None:
    driver.shows = {"MJPG": [], "YUYV": []}
    with pytest.raises(StreamError, match=r"cannot get a picture from camera 0 \(HD Webcam\)"):
        Camera(DEVICE, None, None)
    assert len(driver.opened) == 3


def test_broken_pictures_are_counted_and_skipped(driver: type[Driver]) -> None:
    broken = jpeg(0)[:, :99]
    driver.shows["MJPG"] = [jpeg(0), *[broken] * 9, jpeg(255), *[broken] * 9, jpeg(0)]
    camera = Camera(DEVICE, None, None)
    assert lumas(camera) == [16, 235, 16]
    assert camera.broken == 18


def test_ten_broken_pictures_in_a_row_are_a_loss(driver: type[Driver]) -> None:
    driver.shows["MJPG"] = [jpeg(0), *[jpeg(0)[:, :99]] * 10, jpeg(255)]
    camera = Camera(DEVICE, None, None)
    with pytest.raises(SourceLost, match="gives broken pictures"):
        list(camera)
    camera.close()
    assert camera.broken == 10
    assert len(driver.shows["MJPG"]) == 1


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"busy": True, "holders": ["zoom (123)"]}, r"used by zoom \(123\): close it there"),
        ({"busy": True, "holders": []}, "used by a program of another user"),
        ({"busy": True, "loopback": True}, "another program reads /dev/video0: close it there"),
        ({"forbidden": ["/dev/video0"]}, "you may not use /dev/video0: sudo usermod"),
        ({"away": True}, "it was unplugged"),
        ({}, "unplug it and plug it in again"),
    ],
)
def test_a_camera_that_does_not_open_says_why(
    driver: type[Driver], monkeypatch: pytest.MonkeyPatch, state: dict[str, object], said: str
) -> None:
    driver.refuses = True
    monkeypatch.setattr(camera_file, "forbidden", lambda: state.get("forbidden", []))
    monkeypatch.setattr(camera_file, "device_at", lambda path: None if "away" in state else path)
    monkeypatch.setattr(camera_file, "is_busy", lambda path: "busy" in state)
    monkeypatch.setattr(camera_file, "holders", lambda path: state["holders"])
    with pytest.raises(StreamError, match=rf"cannot open camera 0 \(HD Webcam\): .*{said}"):
        Camera(replace(DEVICE, is_loopback="loopback" in state), None, None)


def test_closing_waits_for_a_read_that_is_under_way(
    driver: type[Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.shows["YUYV"] = [yuyv(0, (360, 640))] * 10_000  # it never runs out
    camera = Camera(DEVICE, (360, 640), None)
    reads, may_end, order = threading.Event(), threading.Event(), []
    whole_read, whole_release = driver.read, driver.release

    def slow_read(self: Driver) -> tuple[bool, Picture]:
        reads.set()
        may_end.wait(10)
        order.append("read")
        return whole_read(self)

    def release(self: Driver) -> None:
        order.append("release")
        whole_release(self)

    monkeypatch.setattr(driver, "read", slow_read)
    monkeypatch.setattr(driver, "release", release)
    seen: list[object] = []
    reader = threading.Thread(target=lambda: seen.extend(camera))
    reader.start()
    assert reads.wait(10)
    closer = threading.Thread(target=camera.close)
    closer.start()
    may_end.set()
    closer.join(10)
    reader.join(10)
    assert order[-1] == "release" and order.count("release") == 1
    assert len(seen) == order.count("read") + 1  # the picture of the opening, and those read


def test_elsewhere_opencv_gives_bgr(driver: type[Driver], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    white = np.full((720, 1280, 3), 255, np.uint8)
    driver.shows["MJPG"] = [white, np.zeros_like(white)]
    camera = Camera(replace(DEVICE, backend=700, modes=()), None, None)
    assert camera.granted == "1280×720 BGR3 at 30 fps"
    assert lumas(camera) == [235, 16]
