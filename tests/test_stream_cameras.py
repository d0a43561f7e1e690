"""Cameras are found by number, path or name, and found again."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from types import ModuleType, SimpleNamespace

import pytest

from stream import StreamError
from stream.sources import cameras
from stream.sources.cameras import find_again, find_camera
from stream.v4l2 import LOOPBACK_DRIVER, Device, Mode

FAST = Mode("YUYV", (720, 1280), Fraction(30))
SLOW = Mode("YUYV", (720, 1280), Fraction(10))
GRAY = Mode("GREY", (360, 640), Fraction(30))

WEBCAM = Device("/dev/video0", "uvcvideo", "HD Webcam", "usb-1", True, False)
METADATA = Device("/dev/video1", "uvcvideo", "HD Webcam", "usb-1", False, False)
INFRARED = Device("/dev/video2", "uvcvideo", "Infrared", "usb-2", True, False)
GRABBER = Device("/dev/video4", "uvcvideo", "HDMI Grabber", "usb-4", True, False)
FED = Device("/dev/video8", LOOPBACK_DRIVER, "Phone", "platform:8", True, False)
IDLE = Device("/dev/video9", LOOPBACK_DRIVER, "Virtual Camera", "platform:9", False, True)
IDLE_BOTH_WAYS = Device("/dev/video10", LOOPBACK_DRIVER, "Both", "platform:10", True, True)


class Machine:
    """Devices that a test plugs in, with their modes."""

    def __init__(self) -> None:
        self.modes: dict[Device, list[Mode]] = {}
        self.forbidden: list[str] = []

    def plug(self, device: Device, *modes: Mode) -> None:
        """Connect a device."""
        self.modes[device] = list(modes)

    def modes_of(self, path: str, fourccs: tuple[str, ...]) -> list[Mode]:
        """As stream.v4l2 has it."""
        device = self.device_at(path)
        if device is None:
            raise OSError("it is gone")
        return [mode for mode in self.modes[device] if mode.fourcc in fourccs]

    def device_at(self, path: str) -> Device | None:
        """As stream.v4l2 has it."""
        return next((device for device in self.modes if device.path == path), None)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A Linux without any device."""
    machine = Machine()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(cameras, "devices", lambda: list(machine.modes))
    for name in ("modes_of", "device_at"):
        monkeypatch.setattr(cameras, name, getattr(machine, name))
    monkeypatch.setattr(cameras, "forbidden", lambda: machine.forbidden)
    return machine


def names(found: list[cameras.CameraDevice]) -> list[str]:
    """Numbers and names, as messages have them."""
    return [str(camera) for camera in found]


def test_hardware_before_loopbacks_then_720_lines_then_the_number(machine: Machine) -> None:
    machine.plug(FED, FAST)
    machine.plug(WEBCAM, SLOW)
    machine.plug(GRABBER, FAST)
    assert names(cameras.cameras()) == ["4 (HDMI Grabber)", "0 (HD Webcam)", "8 (Phone)"]
    assert str(find_camera(None)) == "4 (HDMI Grabber)"


def test_what_gives_no_picture_in_color_is_no_camera(machine: Machine) -> None:
    machine.plug(WEBCAM, FAST)
    machine.plug(METADATA)
    machine.plug(INFRARED, GRAY)
    machine.plug(IDLE)
    machine.plug(IDLE_BOTH_WAYS, FAST, Mode("NV12", (720, 1280), Fraction(30)))
    assert names(cameras.cameras()) == ["0 (HD Webcam)"]


@pytest.mark.parametrize("spec", ["4", "/dev/video4", "grab", "HDMI"])
def test_a_camera_goes_by_number_path_and_part_of_its_name(machine: Machine, spec: str) -> None:
    machine.plug(WEBCAM, FAST)
    machine.plug(GRABBER, FAST)
    assert find_camera(spec).path == "/dev/video4"


def test_several_of_a_name_are_listed_but_a_whole_name_is_enough(machine: Machine) -> None:
    machine.plug(WEBCAM, FAST)
    machine.plug(replace(GRABBER, name="HD Webcam 2"), FAST)
    with pytest.raises(StreamError, match=r"0 \(HD Webcam\), 4 \(HD Webcam 2\); give its number"):
        find_camera("webcam")
    assert find_camera("hd webcam").number == 0


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("7", r"camera 7: there is none of that name; cameras are 0 \(HD Webcam\)"),
        ("zoom", r"camera zoom: there is none of that name; cameras are 0 \(HD Webcam\)"),
        ("9", r"no program feeds /dev/video9 \(Virtual Camera\); start one"),
        ("/dev/video2", r"/dev/video2 \(Infrared\) gives no pictures in color; cameras are 0"),
        ("3", r"you may not open /dev/video3: sudo usermod -aG video \$USER"),
    ],
)
def test_what_cannot_be_used_is_said_with_the_next_step(
    machine: Machine, spec: str, said: str
) -> None:
    machine.plug(WEBCAM, FAST)
    machine.plug(INFRARED, GRAY)
    machine.plug(IDLE)
    machine.forbidden = ["/dev/video3"]
    with pytest.raises(StreamError, match=said):
        find_camera(spec)


def test_no_camera_at_all_is_told_from_no_permission(machine: Machine) -> None:
    with pytest.raises(StreamError, match="cannot find a camera: plug one in"):
        find_camera(None)
    machine.forbidden = ["/dev/video0"]
    with pytest.raises(StreamError, match="you may not use /dev/video0: sudo usermod -aG video"):
        find_camera(None)


def test_a_camera_is_found_again_under_another_number(machine: Machine) -> None:
    machine.plug(WEBCAM, FAST)
    machine.plug(replace(WEBCAM, path="/dev/video6", bus="usb-6"), FAST)  # one of the same name
    lost = find_camera("0")
    del machine.modes[WEBCAM]
    assert find_again(lost) is None
    machine.plug(replace(WEBCAM, path="/dev/video5"), SLOW)
    again = find_again(lost)
    assert again is not None
    assert (again.number, again.path, again.modes) == (5, "/dev/video5", (SLOW,))


def test_a_camera_in_another_socket_is_found_by_its_name(machine: Machine) -> None:
    machine.plug(WEBCAM, FAST)
    lost = find_camera("0")
    del machine.modes[WEBCAM]
    machine.plug(replace(WEBCAM, path="/dev/video3", bus="usb-4"), FAST)
    again = find_again(lost)
    assert again is not None and again.path == "/dev/video3"


def test_of_several_sensors_the_same_is_found_again(machine: Machine) -> None:
    for number in (0, 2, 4):
        machine.plug(replace(WEBCAM, path=f"/dev/video{number}"), FAST)
    again = find_again(find_camera("4"))
    assert again is not None and again.path == "/dev/video4"


def test_a_camera_that_goes_while_it_is_looked_at_is_no_camera(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cameras, "devices", lambda: [WEBCAM])
    assert cameras.cameras() == []


def test_other_systems_list_cameras_through_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("cv2_enumerate_cameras")
    asked = []

    def enumerate_cameras(backend: int) -> list[SimpleNamespace]:
        asked.append(backend)
        return [
            SimpleNamespace(index=0, name="FaceTime", path="id-0"),
            SimpleNamespace(index=1, name="Virtual", path=None),
        ]

    library.enumerate_cameras = enumerate_cameras  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", library)
    for platform, backend in (("win32", 700), ("darwin", 1200)):
        monkeypatch.setattr(sys, "platform", platform)
        found = find_camera("face")
        assert (found.number, found.path, found.backend, found.modes) == (0, "id-0", backend, ())
        assert find_again(found) == found
        assert str(find_camera("1")) == "1 (Virtual)"
    assert set(asked) == {700, 1200}
