"""Video devices of Linux: what they are, what they offer, and who watches them.

Own code, 100 lines of ioctls, because the library for them (linuxpy) has a license, GPL-3.0, that
cannot be joined with pyvirtualcam's GPL-2.0. Numbers and layouts are those of
linux/videodev2.h.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

if sys.platform != "win32":  # nothing here is called there, but its values are used
    import fcntl

LOOPBACK_DRIVER = "v4l2 loopback"

_CAPTURE, _OUTPUT = 1, 2  # buffer types, and bits of the capabilities
_DEVICE_CAPS = 1 << 31
_DEFAULT_RANGE, _FULL_RANGE = 0, 1  # quantization
_JPEG_COLORS = 7  # a colorspace: full range, where the driver leaves that open
_DISCRETE = 1  # kind of a frame size or interval


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number


_READ, _WRITE = 2, 1
_QUERYCAP = _request(_READ, 0, 104)
_ENUM_FMT = _request(_READ | _WRITE, 2, 64)
_G_FMT = _request(_READ | _WRITE, 4, 208)
_S_FMT = _request(_READ | _WRITE, 5, 208)
_ENUM_FRAMESIZES = _request(_READ | _WRITE, 74, 44)
_ENUM_FRAMEINTERVALS = _request(_READ | _WRITE, 75, 52)
_DQEVENT = _request(_READ, 89, 136)
_SUBSCRIBE_EVENT = _request(_WRITE, 90, 32)

_CLIENT_USAGE = 0x10E00001  # v4l2loopback's V4L2_EVENT_PRI_CLIENT_USAGE


@dataclass(frozen=True, slots=True)
class Device:
    """A video device and what it says of itself."""

    path: str  # /dev/video0
    driver: str
    name: str  # as programs show it
    bus: str  # the same for the same socket, whatever number the device has
    captures: bool  # pictures can be read from it
    outputs: bool  # pictures can be written to it

    @property
    def is_loopback(self) -> bool:
        """True for v4l2loopback, whose pictures come from a program."""
        return self.driver == LOOPBACK_DRIVER


@dataclass(frozen=True, slots=True)
class Format:
    """What a device is set to."""

    size_hw: tuple[int, int]
    fourcc: str  # YUYV, MJPG, YU12 (which others call I420)
    full_range: bool


@dataclass(frozen=True, slots=True)
class Mode:
    """One way in which a camera offers pictures."""

    fourcc: str
    size_hw: tuple[int, int]
    fps: Fraction  # the fastest


def devices() -> list[Device]:
    """All video devices that may be opened, by their number."""
    paths = Path("/dev").glob("video*")
    numbered = sorted(
        (path for path in paths if path.name[5:].isdecimal()), key=lambda path: int(path.name[5:])
    )
    return [found for path in numbered if (found := device_at(str(path))) is not None]


def device_at(path: str) -> Device | None:
    """The device of a path; None where there is none, or none that may be opened."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        raw = fcntl.ioctl(fd, _QUERYCAP, bytes(104))
    except OSError:  # no video device
        return None
    finally:
        os.close(fd)
    driver, name, bus, _, of_all, of_this = struct.unpack_from("16s32s32sIII", raw)
    offers = of_this if of_all & _DEVICE_CAPS else of_all
    driver, name, bus = (
        field.split(b"\0")[0].decode("utf-8", "replace") for field in (driver, name, bus)
    )
    return Device(path, driver, name, bus, bool(offers & _CAPTURE), bool(offers & _OUTPUT))


def format_of(path: str, *, as_output: bool = False) -> Format:
    """What a device is set to, as a camera or as an output. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        asked = struct.pack("I204x", _OUTPUT if as_output else _CAPTURE)
        raw = fcntl.ioctl(fd, _G_FMT, asked)
    finally:
        os.close(fd)
    w, h, fourcc, _, _, _, colors, _, _, _, quantization = struct.unpack_from("11I", raw, 8)
    full_range = quantization == _FULL_RANGE or (
        quantization == _DEFAULT_RANGE and colors == _JPEG_COLORS
    )
    return Format((h, w), _word(fourcc), full_range)


def is_busy(path: str) -> bool:
    """Whether a program takes pictures from a camera, so that no other can. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, _S_FMT, fcntl.ioctl(fd, _G_FMT, struct.pack("I204x", _CAPTURE)))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return True
        raise
    finally:
        os.close(fd)
    return False


def modes_of(path: str, fourccs: Collection[str] = ()) -> list[Mode]:
    """All that a camera offers, or only these formats, in its own order; sizes that are ranges
    count with the usual ones in them. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        return [
            Mode(_word(fourcc), size_hw, fps)
            for fourcc in _fourccs(fd)
            if not fourccs or _word(fourcc) in fourccs
            for size_hw in _sizes_hw(fd, fourcc)
            if (fps := _fastest(fd, fourcc, size_hw)) is not None
        ]
    finally:
        os.close(fd)


def _word(fourcc: int) -> str:
    return struct.pack("I", fourcc).decode("latin-1")


def _listed(fd: int, request: int, size: int, *words: int) -> Iterator[bytes]:
    """The answers to a request that counts from 0 until the driver has no more."""
    for index in range(256):
        try:
            yield fcntl.ioctl(
                fd, request, struct.pack(f"I{len(words)}I", index, *words).ljust(size, b"\0")
            )
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):
                return
            raise


def _fourccs(fd: int) -> Iterator[int]:
    for raw in _listed(fd, _ENUM_FMT, 64, _CAPTURE):
        yield struct.unpack_from("I", raw, 44)[0]


_USUAL_HW = ((240, 320), (360, 640), (480, 640), (540, 960), (720, 1280), (1080, 1920))


def _sizes_hw(fd: int, fourcc: int) -> Iterator[tuple[int, int]]:
    for raw in _listed(fd, _ENUM_FRAMESIZES, 44, fourcc):
        kind, *sides = struct.unpack_from("7I", raw, 8)
        if kind == _DISCRETE:
            yield sides[1], sides[0]
            continue
        min_w, max_w, step_w, min_h, max_h, step_h = sides
        for h, w in _USUAL_HW:
            fits = min_w <= w <= max_w and min_h <= h <= max_h
            if fits and (w - min_w) % max(1, step_w) == 0 and (h - min_h) % max(1, step_h) == 0:
                yield h, w


def _fastest(fd: int, fourcc: int, size_hw: tuple[int, int]) -> Fraction | None:
    """Frames per second of the shortest interval; None where the driver names none."""
    h, w = size_hw
    rates = []
    for raw in _listed(fd, _ENUM_FRAMEINTERVALS, 52, fourcc, w, h):
        _, seconds, parts = struct.unpack_from("3I", raw, 16)  # a range begins with its shortest
        if seconds and parts:
            rates.append(Fraction(parts, seconds))
    return max(rates, default=None)


class Readers:
    """Tells when a program begins to read a virtual camera, and when the last one has left."""

    def __init__(self, path: str) -> None:
        """Raises OSError where the driver cannot tell (v4l2loopback before 0.13)."""
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        try:
            # Flag 1: send the state of now as the first event.
            fcntl.ioctl(self._fd, _SUBSCRIBE_EVENT, struct.pack("3I20x", _CLIENT_USAGE, 0, 1))
        except OSError:
            os.close(self._fd)
            raise

    def fileno(self) -> int:
        """For select and poll: an event waits where there is "exceptional" data (POLLPRI)."""
        return self._fd

    def watching(self) -> bool | None:
        """Whether anybody reads, by the events that came since; None: none came."""
        watching = None
        while True:
            try:
                raw = fcntl.ioctl(self._fd, _DQEVENT, bytes(136))
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EAGAIN, errno.EINVAL):
                    return watching
                raise
            watching = struct.unpack_from("I", raw, 8)[0] > 0

    def close(self) -> None:
        """Stop listening; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
