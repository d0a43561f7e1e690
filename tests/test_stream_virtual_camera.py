"""The virtual camera: which device, what is sent, and what is noticed; drivers are played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

pytest.importorskip("pyvirtualcam", reason="pyvirtualcam is not installed")
linux = pytest.importorskip("fcntl", reason="video devices of Linux are played here")

from stream import StreamError, v4l2  # noqa: E402
from stream.frame import LIVE_COLOR, Frame  # noqa: E402
from stream.sinks import SinkLost, loopbacks, virtual_camera  # noqa: E402
from stream.sinks.virtual_camera import VirtualCamera  # noqa: E402
from stream.v4l2 import Device, Format  # noqa: E402

MakeFrame = Callable[..., Frame]
LOOPBACK = "v4l2 loopback"


@dataclass
class Driver:
    """Plays v4l2loopback: one device at one format, and the programs around it."""

    devices: list[Device] = field(default_factory=list)
    held_at: Format | None = None  # by a stale reader
    fourcc: str = "YU12"
    size_hw: tuple[int, int] = (480, 640)
    is_read: bool = False
    is_gone: bool = False
    refuses: dict[str, str] = field(default_factory=dict)  # by path
    sent: list[np.ndarray] = field(default_factory=list)
    opened: list[tuple[str | None, str, int, int, str]] = field(default_factory=list)
    open_now: int = 0
    asked: int = 0
    now_s: float = 0.0

    def format_of(self, path: str, *, as_output: bool = False) -> Format:
        self.asked += 1
        if self.is_gone:
            raise FileNotFoundError(2, "No such file or directory", path)
        return Format(self.size_hw, self.fourcc, False)


class Camera:
    """Plays pyvirtualcam.Camera, which believes that it gets what it asks for."""

    def __init__(
        self, driver: Driver, width: int, height: int, fps: float, *, fmt, device, backend
    ) -> None:
        self.driver, self.device = driver, device or "OBS Virtual Camera"
        if reason := driver.refuses.get(device or backend):
            raise RuntimeError(f"'{backend}' backend: {reason}")
        asked = Format((height, width), {"I420": "YU12"}.get(fmt.name, fmt.name), False)
        kept = driver.held_at or asked
        driver.fourcc, driver.size_hw = kept.fourcc, kept.size_hw
        driver.opened.append((device, fmt.name, height, width, backend))
        driver.open_now += 1

    def send(self, packed: np.ndarray) -> None:
        self.driver.sent.append(packed.copy())

    def close(self) -> None:
        self.driver.open_now -= 1


class Readers:
    """Plays v4l2.Readers: one event at the start."""

    def __init__(self, driver: Driver, path: str) -> None:
        self.driver, self.told = driver, None

    def watching(self) -> bool | None:
        changed = self.told is not self.driver.is_read
        self.told = self.driver.is_read
        return self.told if changed else None

    def close(self) -> None:
        """Nothing is held."""


def loopback(number: int, name: str = "Virtual Camera", *, outputs: bool = True) -> Device:
    return Device(f"/dev/video{number}", LOOPBACK, name, "platform", not outputs, outputs)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """One free virtual camera, /dev/video10."""
    played = Driver([loopback(10)])
    monkeypatch.setattr(virtual_camera.sys, "platform", "linux")
    monkeypatch.setattr(
        virtual_camera.pyvirtualcam, "Camera", lambda *a, **k: Camera(played, *a, **k)
    )
    monkeypatch.setattr(loopbacks, "devices", lambda: played.devices)
    monkeypatch.setattr(loopbacks, "device_at", lambda path: None)
    monkeypatch.setattr(loopbacks, "holders", lambda path: ["obs (77)"])
    monkeypatch.setattr(virtual_camera, "holders", lambda path: ["zoom (42)"])
    monkeypatch.setattr(v4l2, "format_of", played.format_of)
    monkeypatch.setattr(v4l2, "Readers", lambda path: Readers(played, path))
    return played


def opened(driver: Driver, device: str | None = None, size_hw: tuple[int, int] = (36, 64)):
    return VirtualCamera(device, size_hw, 30, clock=lambda: driver.now_s)


def test_the_planes_are_sent_as_they_are(driver: Driver, make_frame: MakeFrame) -> None:
    camera, frame = opened(driver), make_frame(size_hw=(36, 64), color=LIVE_COLOR)
    camera.write(frame)
    assert driver.opened == [("/dev/video10", "I420", 36, 64, "v4l2loopback")]
    assert driver.sent[0].tobytes() == b"".join(plane.tobytes() for plane in frame.planes)
    assert camera.name == "/dev/video10 (Virtual Camera), 64×36 I420"
    assert camera.notes == []


def test_the_first_free_one_is_taken(driver: Driver) -> None:
    camera = Device("/dev/video0", "uvcvideo", "Webcam", "usb", True, False)
    driver.devices = [camera, loopback(9, outputs=False), loopback(10), loopback(11)]
    opened(driver)
    assert [path for path, *_ in driver.opened] == ["/dev/video10"]


@pytest.mark.parametrize("asked", ["/dev/video11", "11", "room", "Meeting Room"])
def test_one_is_found_by_path_number_or_part_of_its_name(driver: Driver, asked: str) -> None:
    driver.devices = [loopback(10), loopback(11, "Meeting Room")]
    opened(driver, asked)
    assert [path for path, *_ in driver.opened] == ["/dev/video11"]


def test_none_there_says_how_to_make_one(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver.devices = []
    monkeypatch.setattr(loopbacks, "_may_use", lambda path: True)
    with pytest.raises(StreamError) as error:
        opened(driver)
    for step in ("sudo apt install v4l2loopback-dkms", "Fedora", "exclusive_caps=1", "card_label="):
        assert step in str(error.value)


def test_busy_is_told_from_missing_and_names_the_program(driver: Driver) -> None:
    driver.devices = [loopback(9, outputs=False), loopback(10)]
    driver.refuses["/dev/video10"] = "could not be configured: Device or resource busy"
    with pytest.raises(StreamError, match=r"video9 .*use by obs \(77\); .*video10 .*use by"):
        opened(driver)
    assert driver.open_now == 0


def test_what_pyvirtualcam_would_refuse_is_never_tried(driver: Driver) -> None:
    driver.devices = [loopback(9, outputs=False)]  # it would leave the device open
    with pytest.raises(StreamError):
        opened(driver)
    assert driver.opened == []


def test_a_name_that_is_not_there_lists_those_that_are(driver: Driver) -> None:
    with pytest.raises(StreamError, match=r"cannot send to Zoom: .*/dev/video10 \(Virtual Camera"):
        opened(driver, "Zoom")


def test_a_real_camera_is_no_virtual_one(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    webcam = Device("/dev/video0", "uvcvideo", "Brio", "usb", True, False)
    monkeypatch.setattr(loopbacks, "device_at", lambda path: webcam)
    with pytest.raises(StreamError, match=r"Brio.*no virtual camera"):
        opened(driver, "0")


@pytest.mark.parametrize("size_hw", [(35, 64), (36, 63)])
def test_odd_sizes_never_reach_the_device(driver: Driver, size_hw: tuple[int, int]) -> None:
    with pytest.raises(StreamError, match=r"--size 6[24]x3[46]"):
        opened(driver, size_hw=size_hw)
    assert driver.opened == []


@pytest.mark.parametrize(("fourcc", "sent_as"), [("YU12", "I420"), ("YUYV", "YUYV")])
def test_a_stale_reader_gets_its_own_size_and_format(
    driver: Driver, make_frame: MakeFrame, fourcc: str, sent_as: str
) -> None:
    driver.held_at, driver.is_read = Format((18, 32), fourcc, False), True
    camera = opened(driver)
    camera.write(make_frame(size_hw=(36, 64), color=LIVE_COLOR, fill=(50, 100, 200)))
    assert driver.opened[-1][1:4] == (sent_as, 18, 32)
    assert driver.open_now == 1
    assert driver.sent[0].size == 18 * 32 * (2 if fourcc == "YUYV" else 1.5)
    assert set(driver.sent[0].tolist()) == {50, 100, 200}
    assert len(camera.notes) == 1
    assert "32×18" in camera.notes[0]
    assert "zoom (42)" in camera.notes[0]


def test_the_size_wanted_comes_back_when_the_stale_reader_leaves(
    driver: Driver, make_frame: MakeFrame
) -> None:
    driver.held_at, driver.is_read = Format((18, 32), "YU12", False), True
    camera, frame = opened(driver), make_frame(size_hw=(36, 64), color=LIVE_COLOR)
    for now_s in (0.0, 2.0, 3.0):
        driver.now_s = now_s
        camera.write(frame)
    driver.held_at, driver.is_read = None, False
    for now_s in (3.1, 4.2):
        driver.now_s = now_s
        camera.write(frame)
    assert [packed.size for packed in driver.sent] == [18 * 32 * 3 // 2] * 3 + [
        36 * 64 * 3 // 2
    ] * 2
    camera.close()
    assert driver.open_now == 0


def test_a_size_that_stays_held_is_tried_once_a_second(
    driver: Driver, make_frame: MakeFrame
) -> None:
    driver.held_at, driver.is_read = Format((18, 32), "YU12", False), False
    camera, frame = opened(driver), make_frame(size_hw=(36, 64), color=LIVE_COLOR)
    for tick in range(90):
        driver.now_s = tick / 30
        camera.write(frame)
    assert len(driver.opened) == 2 * (
        1 + 2
    )  # each try asks for the size wanted, then takes the other
    assert len(camera.notes) == 1


@pytest.mark.parametrize(
    "held_at", [Format((18, 32), "RGB3", False), Format((17, 32), "YU12", False)]
)
def test_what_cannot_be_sent_to_a_stale_reader_is_said(driver: Driver, held_at: Format) -> None:
    driver.held_at = held_at
    with pytest.raises(StreamError, match=f"held at 32×{held_at.size_hw[0]} {held_at.fourcc}"):
        opened(driver)
    assert driver.open_now == 0


def test_the_device_is_asked_after_the_first_frame_and_once_a_second(
    driver: Driver, make_frame: MakeFrame
) -> None:
    camera, frame = opened(driver), make_frame(size_hw=(36, 64), color=LIVE_COLOR)
    before = driver.asked
    for tick in range(91):
        driver.now_s = tick / 30
        camera.write(frame)
    assert driver.asked - before == 1 + 3


def test_a_device_that_is_gone_is_noticed(driver: Driver, make_frame: MakeFrame) -> None:
    camera, frame = opened(driver), make_frame(size_hw=(36, 64), color=LIVE_COLOR)
    camera.write(frame)
    driver.is_gone, driver.now_s = True, 1.0
    with pytest.raises(SinkLost, match=r"/dev/video10 .*No such file.*run.py doctor"):
        camera.write(frame)


def test_a_format_changed_under_us_is_noticed(driver: Driver, make_frame: MakeFrame) -> None:
    camera, frame = opened(driver), make_frame(size_hw=(36, 64), color=LIVE_COLOR)
    camera.write(frame)
    driver.size_hw, driver.now_s = (18, 32), 1.0
    with pytest.raises(SinkLost, match="32×18"):
        camera.write(frame)


def test_a_send_that_raises_is_a_lost_sink(
    driver: Driver, make_frame: MakeFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = opened(driver)

    def stopped(camera: Camera, packed: np.ndarray) -> None:
        raise RuntimeError("it stopped")

    monkeypatch.setattr(Camera, "send", stopped)
    with pytest.raises(SinkLost, match="it stopped"):
        camera.write(make_frame(size_hw=(36, 64), color=LIVE_COLOR))


def test_close_twice_is_fine_and_nothing_is_sent_after(
    driver: Driver, make_frame: MakeFrame
) -> None:
    camera = opened(driver)
    camera.close()
    camera.close()
    assert driver.open_now == 0
    with pytest.raises(SinkLost, match="closed"):
        camera.write(make_frame(size_hw=(36, 64), color=LIVE_COLOR))


def test_readers_fall_back_where_the_driver_cannot_tell(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = opened(driver)
    assert isinstance(camera.readers(), Readers)

    def too_old(path: str) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(v4l2, "Readers", too_old)
    monkeypatch.setattr(virtual_camera, "Openers", lambda path: ("openers", path))
    assert camera.readers() == ("openers", "/dev/video10")
    monkeypatch.setattr(virtual_camera, "Openers", too_old)
    assert camera.readers() is None


@pytest.fixture
def elsewhere(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """A Windows with both of pyvirtualcam's backends."""
    monkeypatch.setattr(virtual_camera.sys, "platform", "win32")
    backends = {"unitycapture": object, "obs": object}
    monkeypatch.setattr(virtual_camera.pyvirtualcam.camera, "BACKENDS", backends)
    return driver


def test_elsewhere_obs_comes_first(elsewhere: Driver, make_frame: MakeFrame) -> None:
    camera = opened(elsewhere)
    camera.write(make_frame(size_hw=(36, 64), color=LIVE_COLOR))
    assert [backend for *_, backend in elsewhere.opened] == ["obs"]
    assert camera.name == "OBS Virtual Camera (obs), 64×36 I420"
    assert (elsewhere.asked, camera.readers()) == (0, None)


def test_elsewhere_unitycapture_comes_next(elsewhere: Driver) -> None:
    elsewhere.refuses["obs"] = "device not found"
    opened(elsewhere)
    assert [backend for *_, backend in elsewhere.opened] == ["unitycapture"]


def test_elsewhere_every_reason_is_listed(elsewhere: Driver) -> None:
    elsewhere.refuses = {"obs": "device not found", "unitycapture": "No camera registered"}
    with pytest.raises(StreamError, match=r"not found; .*No camera registered.*install OBS"):
        opened(elsewhere)
