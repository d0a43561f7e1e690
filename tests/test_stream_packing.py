"""Frames as a device takes them: each byte in its place, any size filled."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from stream.frame import LIVE_COLOR, SRGB, Frame, gray_frame
from stream.sinks.packing import PACKINGS, Packing

MakeFrame = Callable[..., Frame]


def test_i420_is_the_planes_one_after_the_other(make_frame: MakeFrame) -> None:
    frame = make_frame(size_hw=(6, 8), color=LIVE_COLOR)
    packed = Packing("YU12", (6, 8)).packed(frame)
    assert packed.tobytes() == b"".join(plane.tobytes() for plane in frame.planes)


def test_the_buffer_is_used_again(make_frame: MakeFrame) -> None:
    packing = Packing("YU12", (6, 8))
    assert packing.packed(make_frame(size_hw=(6, 8), color=LIVE_COLOR)) is packing.packed(
        make_frame(size_hw=(6, 8), color=LIVE_COLOR)
    )


@pytest.mark.parametrize(
    ("fourcc", "to_bgr"),
    [
        ("YU12", cv2.COLOR_YUV2BGR_I420),
        ("NV12", cv2.COLOR_YUV2BGR_NV12),
        ("YUYV", cv2.COLOR_YUV2BGR_YUYV),
        ("UYVY", cv2.COLOR_YUV2BGR_UYVY),
    ],
)
def test_opencv_reads_each_format_as_the_same_colors(
    make_frame: MakeFrame, fourcc: str, to_bgr: int
) -> None:
    frame = make_frame(size_hw=(16, 24), seed=3, color=LIVE_COLOR)
    packed = Packing(fourcc, (16, 24)).packed(frame)
    rows = packed.reshape(24, 24) if PACKINGS[fourcc][1] == 3 else packed.reshape(16, 24, 2)
    i420 = np.concatenate([plane.ravel() for plane in frame.planes]).reshape(24, 24)
    expected = cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420)
    difference = cv2.absdiff(cv2.cvtColor(rows, to_bgr), expected)
    assert difference.max() <= 1  # OpenCV rounds the formats apart


def test_a_matte_is_sent_gray(make_frame: MakeFrame) -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (16, 1))
    matte = gray_frame((16, 64)).with_planes((ramp,), "gray", SRGB)
    packed = Packing("YU12", (16, 64)).packed(matte)
    luma, chroma = packed[: 16 * 64].reshape(16, 64), packed[16 * 64 :]
    assert luma[0].astype(float) == pytest.approx(16 + ramp[0] * (219 / 255), abs=1)
    assert np.all(np.abs(chroma.astype(int) - 128) <= 1)
