"""What the webcams of the rig see: clips that are made on the machine that boots it."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import run
from rig.room import BAR_PLACES, BAR_PX, BAR_STEP_PX, CODE_PX, ROOM_RGB

SIZE_HW = (360, 640)

Rgb = NDArray[np.uint8]


def portrait() -> Path | None:
    """The public domain portrait in scikit-image's wheel; None where that is not installed."""
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "data" / "astronaut.png"


def make_all(folder: Path, picture: Path) -> None:
    """room.avi, room720.avi, bar.avi and grays.avi, in Motion JPEG, full range as webcams'."""
    cut_out = folder / "person.png"
    failed = run.main(["image", str(picture), str(cut_out), "--background", "transparent"])
    assert not failed, f"cannot cut {picture} out"
    rgba = cv2.cvtColor(cv2.imread(str(cut_out), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
    write_mjpg(folder / "room.avi", SIZE_HW, room(rgba, SIZE_HW))
    write_mjpg(folder / "room720.avi", (720, 1280), room(rgba, (720, 1280)))
    write_mjpg(folder / "bar.avi", SIZE_HW, (bar(place) for place in range(BAR_PLACES)))
    write_mjpg(folder / "grays.avi", SIZE_HW, [grays()] * 30)


def room(rgba: Rgb, size_hw: tuple[int, int]) -> Iterable[Rgb]:
    """The person, who sways before the flat room, for three seconds."""
    h, w = size_hw
    side = h * 9 // 10
    person = cv2.resize(rgba, (side, side), interpolation=cv2.INTER_AREA)
    alpha = person[..., 3:].astype(np.float32) / 255
    for number in range(90):
        left = (w - side) // 2 + round(w / 10 * math.sin(number * math.tau / 90))
        rgb = np.full((h, w, 3), ROOM_RGB, np.uint8)
        under = rgb[h - side :, left : left + side]
        under[:] = np.rint(person[..., :3] * alpha + under * (1 - alpha))
        yield rgb


def bar(place: int) -> Rgb:
    """A white bar on black; the dark squares in it tell where it is, in binary."""
    h, w = SIZE_HW
    rgb = np.zeros((h, w, 3), np.uint8)
    left = place * BAR_STEP_PX
    rgb[60:300, left : left + BAR_PX] = 255
    for digit in range(6):
        if place >> digit & 1:
            top = 84 + digit * 2 * CODE_PX
            rgb[top : top + CODE_PX, left + 24 : left + 40] = (170, 170, 170)
    return rgb


def grays() -> Rgb:
    """Black, middle gray and white."""
    rgb = np.zeros((*SIZE_HW, 3), np.uint8)
    rgb[:, 216:424] = 128
    rgb[:, 424:] = 255
    return rgb


def write_mjpg(path: Path, size_hw: tuple[int, int], pictures: Iterable[Rgb]) -> None:
    """As a webcam sends it: 4:2:0 in full range, 30 a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", 30, options={"qmin": "2", "qmax": "2"})
        stream.height, stream.width = size_hw
        stream.pix_fmt = "yuvj420p"
        stream.codec_context.color_range = 2  # full
        for rgb in pictures:
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
            frame = frame.reformat(
                format="yuvj420p", dst_colorspace="ITU601", dst_color_range="JPEG"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
