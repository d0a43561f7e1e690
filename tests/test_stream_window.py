"""The window: what it shows and when it ends; the desktop is played."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from stream import StreamError
from stream.frame import LIVE_COLOR, Frame
from stream.sinks import window
from stream.sinks.window import Window, WindowClosed

MakeFrame = Callable[..., Frame]


class Desktop:
    """Plays OpenCV's windows."""

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []
        self.visible = 1.0
        self.key = -1
        self.destroyed = 0

    def namedWindow(self, title: str, flags: int) -> None:
        self.title = title

    def resizeWindow(self, title: str, w: int, h: int) -> None:
        self.size_wh = (w, h)

    def getWindowProperty(self, title: str, which: int) -> float:
        if self.visible < 0:
            raise cv2.error("NULL guiReceiver (please create a window)")
        return self.visible

    def imshow(self, title: str, bgr: np.ndarray) -> None:
        self.shown.append(bgr.copy())

    def pollKey(self) -> int:
        return self.key

    def destroyAllWindows(self) -> None:
        self.destroyed += 1


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Desktop:
    played = Desktop()
    for name in ("namedWindow", "resizeWindow", "getWindowProperty", "imshow", "pollKey"):
        monkeypatch.setattr(cv2, name, getattr(played, name))
    monkeypatch.setattr(cv2, "destroyAllWindows", played.destroyAllWindows)
    monkeypatch.setattr(window, "_check_display", lambda: None)
    return played


def test_limited_range_black_white_and_red_are_shown_as_such(
    desktop: Desktop, make_frame: MakeFrame
) -> None:
    shown = Window("call")
    for fill in ((16, 128, 128), (235, 128, 128), (81, 90, 240)):  # BT.601's red is 81, 90, 240
        shown.write(make_frame(size_hw=(36, 64), color=LIVE_COLOR, fill=fill))
    means = [bgr.reshape(-1, 3).mean(axis=0) for bgr in desktop.shown]
    assert np.allclose(means, [(0, 0, 0), (255, 255, 255), (0, 0, 255)], atol=2)
    assert (desktop.title, desktop.size_wh) == ("call", (64, 36))


def test_keys_typed_in_it_are_passed_on(desktop: Desktop, make_frame: MakeFrame) -> None:
    shown, keys = Window("call"), []
    for key in (-1, ord("b"), -1):
        desktop.key = key
        shown.write(make_frame(size_hw=(36, 64), color=LIVE_COLOR))
        keys.append(shown.last_key)
    assert keys == [None, "b", None]


@pytest.mark.parametrize("visible", [0.0, -1.0])  # -1: Qt has no window left at all
def test_closed_with_the_mouse_it_stays_closed(
    desktop: Desktop, make_frame: MakeFrame, visible: float
) -> None:
    shown = Window("call")
    shown.write(make_frame(size_hw=(36, 64), color=LIVE_COLOR))
    desktop.visible = visible
    with pytest.raises(WindowClosed):
        shown.write(make_frame(size_hw=(36, 64), color=LIVE_COLOR))
    assert len(desktop.shown) == 1  # imshow() would open it again


def test_close_twice_is_fine(desktop: Desktop) -> None:
    shown = Window("call")
    shown.close()
    shown.close()
    assert desktop.destroyed == 1


def test_an_opencv_without_windows_says_what_to_install(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def headless(title: str, flags: int) -> None:
        raise cv2.error("The function is not implemented. Rebuild the library with GTK+ 2.x")

    monkeypatch.setattr(cv2, "namedWindow", headless)
    with pytest.raises(StreamError, match="pip install opencv-python"):
        Window("call")


@pytest.mark.skipif(sys.platform != "linux", reason="only Qt on Linux ends the process")
def test_a_missing_display_is_one_line_and_no_abort() -> None:
    code = (
        "from stream import StreamError\n"
        "from stream.sinks.window import Window\n"
        "try:\n    Window('call')\n"
        "except StreamError as error:\n    print(error)\n"
    )
    gone = {"DISPLAY", "WAYLAND_DISPLAY"}
    env = {name: value for name, value in os.environ.items() if name not in gone}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("cannot show a window: ")
    assert ran.stdout.count("\n") == 1
    assert ran.stderr == ""
