"""VirtualCamera: composites to a device that other programs see as a webcam."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import pyvirtualcam
from pyvirtualcam import PixelFormat

from stream import StreamError
from stream.frame import Frame
from stream.sinks import SinkLost
from stream.sinks.packing import PACKINGS, Packing

if sys.platform == "linux":
    from stream import v4l2
    from stream.holders import holders
    from stream.openers import Openers
    from stream.sinks.loopbacks import loopbacks, said, why_busy
if TYPE_CHECKING:
    from stream.v4l2 import Device, Readers

log = logging.getLogger(__name__)
_CHECK_S = 1.0
_ELSEWHERE = ("obs", "unitycapture")  # in this order
_INSTALL = (
    "install OBS (obsproject.com, 28 or later), start its virtual camera once and stop it again"
)
_SENT_AS = {
    "YU12": PixelFormat.I420,  # the planes as they are: the cheapest
    "NV12": PixelFormat.NV12,
    "YUYV": PixelFormat.YUYV,
    "UYVY": PixelFormat.UYVY,
}


class VirtualCamera:
    """Sends yuv420p frames (BT.601, limited range) to a virtual camera.

    On Linux a program that still reads from an earlier sender holds the device at that sender's
    size and format: frames are brought to it, until that program leaves. `notes` says so, `name`
    is for the opening line.
    """

    def __init__(
        self,
        device: str | None,
        size_hw: tuple[int, int],
        fps: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`device`: on Linux a path, a number or a part of the name; elsewhere the full name.

        None takes the first that is free. Raises StreamError with the next step.
        """
        if size_hw[0] % 2 or size_hw[1] % 2:
            raise StreamError(
                f"cannot send {_times(size_hw)} to a virtual camera: programs that read it want "
                f"even sides; give --size {size_hw[1] // 2 * 2}x{size_hw[0] // 2 * 2}"
            )
        self.notes: list[str] = []
        self._wanted_hw, self._fps, self._clock = size_hw, fps, clock
        self._stale: Readers | Openers | None = (
            None  # of a device that another program holds at its size
        )
        self._checked_s: float | None = None
        self._path: str | None = None  # on Linux
        self._camera: pyvirtualcam.Camera | None = None
        if sys.platform == "linux":
            device_name = self._open_first(loopbacks(device))
        else:
            device_name = self._open_elsewhere(device)
        self.name = f"{device_name}, {_times(self._size_hw)} {_SENT_AS[self._fourcc]}"

    def write(self, frame: Frame) -> None:
        """Send one frame. Raises SinkLost when the device takes no more."""
        self._reopen_if_free()
        if self._camera is None:
            raise SinkLost("cannot send to the virtual camera: it is closed")
        try:
            self._camera.send(self._packing.packed(frame))
        except RuntimeError as error:
            raise SinkLost(f"cannot send to {self._camera.device}: {error}") from error
        self._check()

    def readers(self) -> Readers | Openers | None:
        """Tells who reads the device; None where this system cannot tell."""
        if sys.platform == "linux" and self._path is not None:
            for kind in (v4l2.Readers, Openers):  # the first from v4l2loopback 0.13 on
                with suppress(OSError):
                    return kind(self._path)
        return None

    def close(self) -> None:
        """Give the device back; safe to call twice."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None
        if self._stale is not None:
            self._stale.close()
            self._stale = None

    def _open_first(self, found: list[Device]) -> str:
        reasons = []
        for device in found:
            # pyvirtualcam does not close what it refuses: it must not be tried in vain.
            if not device.outputs:
                reasons.append(why_busy(device))
                continue
            self._path = device.path
            try:
                self._attach()
            except (RuntimeError, OSError) as error:
                reasons.append(_why_refused(device, error))
            else:
                return said(device)
        raise StreamError(
            f"cannot send to a virtual camera: {'; '.join(reasons)}. End the program that holds "
            "it, or give another one with --output"
        )

    def _attach(self) -> None:
        """Open the device at the size wanted, or at the one that it is held at.

        Raises RuntimeError where pyvirtualcam is refused, OSError where we are.
        """
        assert self._path is not None
        self._open("YU12", self._wanted_hw, "v4l2loopback", self._path)
        # The driver answers with the format that it keeps, and pyvirtualcam does not look.
        kept = v4l2.format_of(self._path, as_output=True)
        if (kept.fourcc, kept.size_hw) == ("YU12", self._wanted_hw):
            return
        self.close()
        if kept.fourcc not in PACKINGS or kept.size_hw[0] % 2 or kept.size_hw[1] % 2:
            raise RuntimeError(
                f"it is held at {_times(kept.size_hw)} {kept.fourcc}, which cannot be sent"
            )
        self._open(kept.fourcc, kept.size_hw, "v4l2loopback", self._path)
        self._stale = self.readers()
        note = (
            f"{self._path} is held at {_times(kept.size_hw)} {kept.fourcc} by a program that reads "
            f"it{_by(self._path)}: frames are scaled to that and cut, until it leaves"
        )
        if note not in self.notes:
            self.notes.append(note)

    def _open(
        self, fourcc: str, size_hw: tuple[int, int], backend: str, device: str | None
    ) -> None:
        h, w = size_hw
        self._camera = pyvirtualcam.Camera(
            w, h, self._fps, fmt=_SENT_AS[fourcc], device=device, backend=backend
        )
        self._size_hw, self._fourcc = size_hw, fourcc
        self._packing = Packing(fourcc, size_hw)
        self._checked_s, self._opened_s = None, self._clock()

    def _reopen_if_free(self) -> None:
        """Go back to the size wanted once nobody reads at the other one.

        At most once a second: a program may hold the size without reading.
        """
        if self._stale is None or self._clock() - self._opened_s < _CHECK_S:
            return
        if self._stale.watching() is not False:  # nothing new, or somebody reads
            return
        self.close()
        try:
            self._attach()
        except (RuntimeError, OSError) as error:
            raise SinkLost(f"cannot go back to {_times(self._wanted_hw)}: {error}") from error
        log.info("%s is now sent at %s", self._path, _times(self._size_hw))

    def _check(self) -> None:
        """Look once a second whether the driver still takes our frames.

        pyvirtualcam only prints where a write fails. A device that gets no frames, or is gone,
        does not answer as a camera; one whose format was changed answers with that.
        """
        now_s = self._clock()
        if self._path is None or (
            self._checked_s is not None and now_s - self._checked_s < _CHECK_S
        ):
            return
        self._checked_s = now_s
        try:
            found = v4l2.format_of(self._path)
        except OSError as error:
            raise SinkLost(
                f"cannot send to {self._path} any more ({error.strerror}): was the driver "
                "unloaded? Run `run.py doctor`, then start again"
            ) from error
        if (found.fourcc, found.size_hw) != (self._fourcc, self._size_hw):
            raise SinkLost(
                f"cannot send to {self._path} any more: another program set it to "
                f"{_times(found.size_hw)} {found.fourcc}{_by(self._path)}; end that and start again"
            )

    def _open_elsewhere(self, device: str | None) -> str:
        reasons = []
        for backend in _ELSEWHERE:
            if backend not in pyvirtualcam.camera.BACKENDS:
                continue
            try:
                self._open("YU12", self._wanted_hw, backend, device)
            except RuntimeError as error:
                reasons.append(f"{backend}: {str(error).strip()}")
            else:
                assert self._camera is not None
                return f"{self._camera.device} ({backend})"
        asked = f" {device}" if device else ""
        why = "; ".join(reasons) or "this system has none that can be sent to"
        raise StreamError(f"cannot open the virtual camera{asked}: {why}. {_INSTALL}")


def _times(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[1]}×{size_hw[0]}"


def _by(path: str) -> str:
    held = ", ".join(holders(path))
    return f" ({held})" if held else ""


def _why_refused(device: Device, error: RuntimeError | OSError) -> str:
    if "busy" in str(error):
        return why_busy(device)
    return f"{said(device)}: {error}"
