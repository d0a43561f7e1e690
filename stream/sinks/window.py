"""Window: the composites in a window of their own."""

from __future__ import annotations

import os
import subprocess
import sys

# OpenCV's Qt misses a folder of fonts, which nothing here is written in, and says so many times.
os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")

import cv2
import numpy as np

from stream import StreamError
from stream.frame import Frame
from stream.sinks.packing import Packing

_INSTEAD = "leave out --output window"
_KIND = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL  # no tool bar


class WindowClosed(StreamError):
    """The user closed the window."""


class Window:
    """Shows yuv420p frames (BT.601, limited range); used from one thread alone.

    `last_key` is the key that was typed in it before the last frame, if any.
    """

    name = "window"

    def __init__(self, title: str) -> None:
        """Raises StreamError where no window can be shown."""
        self.notes: list[str] = []
        self.last_key: str | None = None
        self._title = title
        self._packing: Packing | None = None
        self._bgr: np.ndarray | None = None
        _check_display()
        try:
            cv2.namedWindow(title, _KIND)
        except cv2.error as error:
            raise StreamError(f"cannot show a window: {_headless(str(error))}") from error
        self._open = True

    def write(self, frame: Frame) -> None:
        """Show one frame. Raises WindowClosed when it was closed with the mouse."""
        self.last_key = None
        if not self._is_shown():
            raise WindowClosed("the window was closed")
        h, w = frame.size_hw
        if self._packing is None or self._bgr is None or self._bgr.shape != (h, w, 3):
            self._packing, self._bgr = Packing("YU12", (h, w)), np.empty((h, w, 3), np.uint8)
            cv2.resizeWindow(self._title, w, h)
        i420 = self._packing.packed(frame).reshape(h * 3 // 2, w)
        cv2.imshow(self._title, cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420, dst=self._bgr))
        key = cv2.pollKey()
        self.last_key = chr(key & 0xFF) if key >= 0 else None

    def close(self) -> None:
        """Close the window; safe to call twice."""
        if self._open:
            self._open = False
            cv2.destroyAllWindows()

    def _is_shown(self) -> bool:
        try:
            return self._open and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # Qt, when the last of its windows was closed
            return False


def _check_display() -> None:
    """Open a window in another process first: where there is no display, Qt, which OpenCV draws
    with on Linux, ends the process."""
    if not sys.platform.startswith("linux"):
        return
    code = "import cv2; cv2.namedWindow('display?')"
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if tried.returncode:
        raise StreamError(f"cannot show a window: {_headless(tried.stderr)}")


def _headless(said: str) -> str:
    if "not implemented" in said:
        return f"this OpenCV is built without; pip install opencv-python, or {_INSTEAD}"
    return f"there is no display to show it on (DISPLAY); log in to a desktop, or {_INSTEAD}"
