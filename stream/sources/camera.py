"""Camera: a webcam's pictures as they come, until it is lost."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2

from stream import StreamError
from stream.frame import Frame, gray_frame
from stream.holders import holders
from stream.reasons import reason
from stream.sources.camera_pictures import BrokenPicture, Pictures, Raw
from stream.sources.cameras import ALLOW, CameraDevice, forbidden
from stream.sources.modes import READABLE, USUAL_FPS, USUAL_HW, ranked, said
from stream.v4l2 import Mode, device_at, format_of, is_busy

log = logging.getLogger(__name__)

_MODES_TRIED = 3
_FIRST_TRIES = 3  # how often the first picture is waited for, a second each
_MOST_BROKEN = 10  # in a row
_CLOSE_S = 2.0  # a read of a silent camera ends after a second, on Linux
_SAME_RATE = Fraction(99, 100)  # 30000/1001 is 30 to everybody


class SourceLost(StreamError):
    """A live source gives no more pictures; it may come back."""


class Camera:
    """Gives the frames of one camera, brought to what virtual cameras take.

    `name` and `granted` say which it is and what it does, `notes` where that is less than was
    asked for, `broken` counts pictures that were skipped, `device` is where to find it. `size_hw`
    None: 1280×720, or what is nearest.
    """

    is_live = True

    def __init__(
        self, device: CameraDevice, size_hw: tuple[int, int] | None, fps: Fraction | None
    ) -> None:
        """Open it and wait for its first picture. Raises StreamError."""
        self.broken = 0
        self.device = device
        self._lock = threading.Lock()  # OpenCV's captures may not be released while they read
        self._capture: Any = None
        self._first: Frame | None = None
        mode = self._open(_wanted(device, size_hw, fps))
        self.size_hw, self.rate = self._like.size_hw, mode.fps
        self.name, self.granted = f"camera {device}", said(mode)
        self.notes = _notes(mode, size_hw, fps)

    def __iter__(self) -> Iterator[Frame]:
        """The frames, once, until it is closed. Raises SourceLost."""
        if self._first is not None:
            yield self._first
            self._first = None
        broken = 0
        while (raw := self._read()) is not None:
            try:
                frame = self._frame(raw)
            except BrokenPicture as error:
                self.broken, broken = self.broken + 1, broken + 1
                log.debug("camera %s: broken picture: %s", self.device, error)
                if broken == _MOST_BROKEN:
                    raise SourceLost(
                        f"camera {self.device} gives broken pictures ({error}): try another cable "
                        "or socket"
                    ) from error
                continue
            broken = 0
            yield frame

    def close(self) -> None:
        """Free the camera; safe to call twice, also while another thread reads: that ends."""
        if not self._lock.acquire(timeout=_CLOSE_S):
            return  # it hangs while it reads, and is left to itself
        try:
            capture, self._capture = self._capture, None
            if capture is not None:
                capture.release()
        finally:
            self._lock.release()

    def _open(self, modes: list[Mode]) -> Mode:
        """Open the first mode that gives a picture; what was granted."""
        why = ""
        for mode in modes[:_MODES_TRIED]:
            self._capture = _capture(self.device, mode)
            try:
                granted, full_range = _granted(self.device, self._capture)
                self._pictures = Pictures(granted.fourcc, granted.size_hw, full_range)
                h, w = granted.size_hw
                self._like = gray_frame((h // 2 * 2, w // 2 * 2))
                self._first = self._first_frame()
                return granted
            except (OSError, BrokenPicture, SourceLost) as error:
                why = f"{said(mode)}: {reason(error)}"
                log.info("camera %s does not work with %s", self.device, why)
            finally:
                if self._first is None:
                    self.close()
        raise StreamError(
            f"cannot get a picture from camera {self.device} ({why}): unplug it and plug it in "
            "again"
        )

    def _first_frame(self) -> Frame:
        for _ in range(_FIRST_TRIES - 1):
            with suppress(SourceLost, BrokenPicture):
                return self._frame(self._read())
        return self._frame(self._read())

    def _read(self) -> Raw | None:
        """What OpenCV gives next; None after close()."""
        with self._lock:
            if self._capture is None:
                return None
            is_read, raw = self._capture.read()
        if not is_read:
            raise SourceLost(
                f"camera {self.device} gives no more pictures: was it unplugged, or taken by "
                "another program?"
            )
        return raw

    def _frame(self, raw: Raw | None) -> Frame:
        assert raw is not None, "closed while it was opened"
        captured_ns = time.monotonic_ns()
        return replace(
            self._like,
            planes=self._pictures.planes(raw),
            pts=(captured_ns - self._like.captured_ns) // 1000,
            captured_ns=captured_ns,
        )


def _wanted(
    device: CameraDevice, size_hw: tuple[int, int] | None, fps: Fraction | None
) -> list[Mode]:
    """What to ask for, the best first."""
    if not device.modes:  # not known; OpenCV gives BGR of whatever there is
        return [Mode("BGR3", size_hw or USUAL_HW, fps or USUAL_FPS)]
    modes = ranked(device.modes, size_hw, fps)
    if size_hw is not None and not modes:
        sizes = sorted({mode.size_hw for mode in device.modes}, key=lambda hw: hw[1])
        offered = ", ".join(f"{w}×{h}" for h, w in sizes)
        h, w = size_hw
        raise StreamError(f"cannot set camera {device} to {w}×{h}: it has {offered}")
    rate = fps or USUAL_FPS
    return [Mode(mode.fourcc, mode.size_hw, rate) for mode in modes]


def _capture(device: CameraDevice, mode: Mode) -> Any:
    """OpenCV's capture of a camera, set to a mode. Raises StreamError."""
    # Seconds until a silent camera counts as lost, 10 by default; OpenCV reads it when it waits
    # for its first picture.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")
    # It writes to standard error whenever a camera fails, which is told here in other words.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    h, w = mode.size_hw
    settings = {
        cv2.CAP_PROP_FRAME_WIDTH: w,
        cv2.CAP_PROP_FRAME_HEIGHT: h,
        cv2.CAP_PROP_FPS: round(mode.fps),
    }
    if sys.platform == "linux":
        settings = {
            cv2.CAP_PROP_CONVERT_RGB: 0,
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*mode.fourcc),
            **settings,
        }
        flat = [number for setting in settings.items() for number in setting]
        capture = cv2.VideoCapture(device.number, device.backend, flat)
    else:
        capture = cv2.VideoCapture(device.number, device.backend)
        # Uncompressed, most give 720 lines at 10 fps.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        for name, value in settings.items():
            capture.set(name, value)
    if not capture.isOpened():
        raise StreamError(f"cannot open camera {device}: {_why_closed(device)}")
    return capture


def _granted(device: CameraDevice, capture: Any) -> tuple[Mode, bool]:
    """What a camera is set to, and whether in full range. Raises OSError."""
    w, h = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    size_hw = int(h), int(w)
    rate = Fraction(capture.get(cv2.CAP_PROP_FPS)).limit_denominator(1001)
    rate = rate if rate > 0 else USUAL_FPS  # some do not tell
    if sys.platform != "linux":
        return Mode("BGR3", size_hw, rate), False
    granted = format_of(device.path)
    if granted.size_hw != size_hw or granted.fourcc not in READABLE:
        raise OSError(f"it gives {granted.fourcc} of {granted.size_hw[1]}×{granted.size_hw[0]}")
    return Mode(granted.fourcc, size_hw, rate), granted.full_range


def _notes(mode: Mode, size_hw: tuple[int, int] | None, fps: Fraction | None) -> list[str]:
    """What was asked for and is not given."""
    wanted_hw, wanted_fps = size_hw or USUAL_HW, fps or USUAL_FPS
    notes = []
    if mode.size_hw != wanted_hw:
        wanted = "{1}×{0}".format(*wanted_hw)
        notes.append(f"the camera has no {wanted} at {float(wanted_fps):.4g} fps")
    if mode.fps < wanted_fps * _SAME_RATE:
        notes.append(
            f"the camera gives {float(mode.fps):.4g} fps, not {float(wanted_fps):.4g}: a smaller "
            "--size may be faster"
        )
    return notes


def _why_closed(device: CameraDevice) -> str:
    """Why a camera does not open, and what to do."""
    if sys.platform != "linux":
        return "close other programs that use it, and allow this one to"
    if device.path in forbidden():
        return f"you may not use {device.path}: {ALLOW}"
    if device_at(device.path) is None:
        return "it was unplugged; plug it in again"
    try:
        if not is_busy(device.path):
            return "unplug it and plug it in again"
    except OSError as error:
        return f"{reason(error)}; unplug it and plug it in again"
    if device.is_loopback:  # who feeds it has it open, too
        return f"another program reads {device.path}: close it there"
    by = ", ".join(holders(device.path)) or "a program of another user"
    return f"{device.path} is used by {by}: close it there"
