"""Scenarios: what the pictures look like to those who read them."""

from __future__ import annotations

import subprocess

import cv2
import numpy as np

from rig.devices import CLIPS, VIRTUAL, Seen
from rig.room import BAR_PLACES, BAR_PX, BAR_STEP_PX, CODE_PX

THIRDS = {0: slice(40, 180), 128: slice(250, 390), 255: slice(460, 600)}  # columns of each gray


def test_grays_of_a_full_range_webcam_are_the_same_to_all_readers(stage, note):
    stage.play("grays.avi")
    # A network that finds people in what is bright, over white: black is what is left to be seen.
    program = stage.live("--always-on", network=str(CLIPS / "everybody.onnx"))
    reader = stage.read()
    stage.wait_for_person()
    reader.wait_for(20)
    last = reader.seen[-1].planes[0].astype(int)
    reader.stop()
    shown = {
        "v4l2-ctl": {gray: (last[20:340, at] - 16) * 255 / 219 for gray, at in THIRDS.items()},
        "OpenCV": of_rgb(opencv_picture()),
        "ffmpeg": of_rgb(ffmpeg_picture()),
    }
    worst = {
        by: max(float(np.abs(seen - gray).max()) for gray, seen in grays.items())
        for by, grays in shown.items()
    }
    assert program.end() == 0
    note(worst_of_255={by: round(value, 1) for by, value in worst.items()})
    assert max(worst.values()) <= 3, worst


def of_rgb(picture):
    """The parts of an RGB picture that are black, gray and white."""
    return {gray: picture[20:340, at].astype(int) for gray, at in THIRDS.items()}


def opencv_picture():
    """What a program that uses OpenCV sees."""
    capture = cv2.VideoCapture(VIRTUAL, cv2.CAP_V4L2)
    for _ in range(5):
        done, picture = capture.read()
        assert done
    capture.release()
    return picture


def ffmpeg_picture():
    """What ffmpeg sees."""
    raw = subprocess.run(
        [
            *("ffmpeg", "-nostdin", "-v", "error", "-f", "v4l2", "-i", VIRTUAL),
            *("-frames:v", "5", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"),
        ],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, 360, 640, 3)[-1]


def test_matte_and_picture_are_of_the_same_time(stage, note):
    stage.play("bar.avi")
    program = stage.live("--always-on", network=str(CLIPS / "bar.onnx"))
    found: list[tuple[int, int, int]] = []  # (left edge, width, place by its code)

    def look(each: Seen) -> None:
        found.extend(bar_in(each.planes[0]))

    reader = stage.read(look)
    stage.wait_for_person()
    reader.wait_for(300)
    assert program.end() == 0
    stage.check()
    wrong = [
        bar
        for bar in found
        if abs(bar[0] - bar[2] * BAR_STEP_PX) > BAR_STEP_PX // 4 or abs(bar[1] - BAR_PX) > 8
    ]
    places = {place for _, _, place in found}
    note(bars=len(found), places=len(places), wrong=wrong[:5])
    assert not wrong
    assert len(found) > 200 and len(places) > BAR_PLACES // 2


def bar_in(luma):
    """The bar of a picture, if there is one: what is bright, and the code in it; and whatever is
    neither green nor bar makes it as wide as it reaches."""
    rows = luma[180:190].mean(axis=0)
    columns = np.flatnonzero(np.abs(rows - 112) > 30)  # the green has 112
    if not len(columns):
        return []
    left, right = int(columns[0]), int(columns[-1]) + 1
    middle = (left + right) // 2
    place = 0
    for digit in range(6):
        top = 84 + digit * 2 * CODE_PX
        dark = luma[top + 4 : top + 12, middle - 4 : middle + 4].mean() < 200
        place |= int(dark) << digit
    return [(left, right - left, place)]
