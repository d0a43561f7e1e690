"""The cameras of this machine: which there are, which one is meant, and the same one again."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from stream import StreamError
from stream.sources.modes import READABLE, USUAL_FPS, USUAL_HW
from stream.v4l2 import Device, Mode, device_at, devices, modes_of

# OpenCV's numbers of the interfaces to cameras.
_V4L2, _DIRECTSHOW, _AVFOUNDATION = 200, 700, 1200

ALLOW = "sudo usermod -aG video $USER, then log in anew"


@dataclass(frozen=True, slots=True)
class CameraDevice:
    """A camera that can be opened."""

    number: int  # as OpenCV counts: /dev/video2 is 2
    path: str  # /dev/video2; off Linux the system's own name for it
    name: str  # as programs show it
    bus: str  # the same for the same socket, whatever number the camera has
    backend: int = _V4L2  # OpenCV's number of the interface
    is_loopback: bool = False  # another program's pictures
    modes: tuple[Mode, ...] = ()  # those that can be read; off Linux they are not known
    others: frozenset[str] = frozenset()  # buses of those of this name that were there before

    def __str__(self) -> str:
        return f"{self.number} ({self.name})"


def cameras() -> list[CameraDevice]:
    """All cameras that give pictures in color, the best first: hardware before loopbacks, then
    what has 1280×720 at 30 fps, then by number."""
    if sys.platform == "linux":
        found = [camera for device in devices() if (camera := _camera(device)) is not None]
    else:
        found = _elsewhere()
    return sorted(found, key=lambda each: (each.is_loopback, not _is_usual(each), each.number))


def find_camera(spec: str | None) -> CameraDevice:
    """The camera of a number, a /dev path or a part of the name; None: the best.

    Raises StreamError where there is none or more than one.
    """
    there = cameras()
    if spec is None and not there:
        raise StreamError(f"cannot find a camera: {why_none()}")
    found = there[0] if spec is None else _asked_for(spec, there)
    buses = {each.bus for each in there if each.name == found.name}
    return replace(found, others=frozenset(buses - {found.bus}))


def find_again(camera: CameraDevice) -> CameraDevice | None:
    """The same camera, whatever its number is now; None while it is away.

    Bus and name tell it: cameras with several sensors have one each under the same name, so the
    path decides. In another socket it is the one of its name that was not there before.
    """
    there = cameras()
    same = [each for each in there if (each.bus, each.name) == (camera.bus, camera.name)]
    if same:
        return min(same, key=lambda each: each.path != camera.path)
    moved = [each for each in there if each.name == camera.name and each.bus not in camera.others]
    return moved[0] if len(moved) == 1 else None


def why_none() -> str:
    """What to do where no camera is found."""
    if sys.platform != "linux":
        return "plug one in and allow this program to use it"
    if paths := forbidden():
        return f"you may not use {', '.join(paths)}: {ALLOW}"
    return "plug one in; `lsusb` shows whether Linux sees it"


def forbidden() -> list[str]:
    """Paths of Linux's video devices that this user may not open."""
    paths = sorted(map(str, Path("/dev").glob("video*")))
    return [path for path in paths if not os.access(path, os.R_OK | os.W_OK)]


def _camera(device: Device) -> CameraDevice | None:
    """A device as a camera; None for one that is none, or has only infrared's gray."""
    if not device.captures:
        return None
    modes: list[Mode] = []
    with suppress(OSError):  # it was unplugged meanwhile
        modes = modes_of(device.path, READABLE)
    # A loopback that a program feeds offers its one format, one that nobody feeds all there are.
    idle = device.is_loopback and len({mode.fourcc for mode in modes}) > 1
    if not modes or idle:
        return None
    number = int(device.path.removeprefix("/dev/video"))
    return CameraDevice(
        number,
        device.path,
        device.name,
        device.bus,
        is_loopback=device.is_loopback,
        modes=tuple(modes),
    )


def _is_usual(camera: CameraDevice) -> bool:
    return any(mode.size_hw == USUAL_HW and mode.fps >= USUAL_FPS for mode in camera.modes)


def _elsewhere() -> list[CameraDevice]:
    """The cameras of Windows and macOS."""
    try:
        from cv2_enumerate_cameras import enumerate_cameras
    except ImportError as error:
        raise StreamError(
            f"cannot list cameras ({error}): pip install -r requirements.txt"
        ) from error
    # DirectShow, because Media Foundation takes seconds to open a camera and knows no virtual ones.
    backend = _DIRECTSHOW if sys.platform == "win32" else _AVFOUNDATION
    return [
        CameraDevice(found.index, found.path or found.name, found.name, found.path or "", backend)
        for found in enumerate_cameras(backend)
    ]


def _asked_for(spec: str, there: list[CameraDevice]) -> CameraDevice:
    if spec.isdecimal():
        fits = [camera for camera in there if camera.number == int(spec)]
        path = f"/dev/video{spec}"
    elif spec.startswith("/"):
        path = os.path.realpath(spec)  # /dev/v4l/by-id/… are links
        fits = [camera for camera in there if camera.path == path]
    else:
        path = ""
        exactly = [each for each in there if each.name.casefold() == spec.casefold()]
        fits = exactly or [each for each in there if spec.casefold() in each.name.casefold()]
    if len(fits) == 1:
        return fits[0]
    if fits:
        said = ", ".join(map(str, fits))
        raise StreamError(f"cannot tell which camera {spec!r} is: {said}; give its number")
    raise StreamError(f"cannot use camera {spec}: {_why_not(path, there)}")


def _why_not(path: str, there: list[CameraDevice]) -> str:
    if path in forbidden():
        return f"you may not open {path}: {ALLOW}"
    device = device_at(path) if path else None
    instead = (
        f"cameras are {', '.join(map(str, there))}" if there else f"none is found: {why_none()}"
    )
    if device is None:
        return f"there is none of that name; {instead}"
    if device.is_loopback:
        return f"no program feeds {path} ({device.name}); start one that does"
    return f"{path} ({device.name}) gives no pictures in color; {instead}"
