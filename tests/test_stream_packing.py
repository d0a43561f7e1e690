"""Frames as a device takes them: each byte in its place, any size filled."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from stream.frame import Frame
from stream.sinks.packing import PACKINGS, Packing, covering

MakeFrame = Callable[..., Frame]


def test_i420_is_the_planes_one_after_the_other(make_frame: MakeFrame) -> None:
    frame = make_frame(size_hw=(6, 8))
    packed = Packing("YU12", (6, 8)).packed(frame)
    assert packed.tobytes() == b"".join(plane.tobytes() for plane in frame.planes)


def test_the_buffer_is_used_again(make_frame: MakeFrame) -> None:
    packing = Packing("YU12", (6, 8))
    assert packing.packed(make_frame(size_hw=(6, 8))) is packing.packed(make_frame(size_hw=(6, 8)))


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
    frame = make_frame(size_hw=(16, 24), seed=3)
    packed = Packing(fourcc, (16, 24)).packed(frame)
    rows = packed.reshape(24, 24) if PACKINGS[fourcc][1] == 3 else packed.reshape(16, 24, 2)
    i420 = np.concatenate([plane.ravel() for plane in frame.planes]).reshape(24, 24)
    expected = cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420)
    difference = cv2.absdiff(cv2.cvtColor(rows, to_bgr), expected)
    assert difference.max() <= 1  # OpenCV rounds the formats apart


def test_a_frame_of_the_size_is_not_touched(make_frame: MakeFrame) -> None:
    frame = make_frame(size_hw=(6, 8))
    assert covering(frame, (6, 8)) is frame


def test_another_shape_is_filled_with_the_middle(make_frame: MakeFrame) -> None:
    luma = np.full((90, 160), 50, np.uint8)
    luma[:, :20] = luma[:, -20:] = 255  # what 4:3 has no room for: 160 - 90 · 4/3 = 40 columns
    chroma = (np.full((45, 80), 100, np.uint8), np.full((45, 80), 200, np.uint8))
    filled = covering(make_frame(planes=(luma, *chroma)), (60, 80))
    assert [plane.shape for plane in filled.planes] == [(60, 80), (30, 40), (30, 40)]
    assert [np.unique(plane).tolist() for plane in filled.planes] == [[50], [100], [200]]


def test_a_tall_device_cuts_the_sides_alike(make_frame: MakeFrame) -> None:
    luma = np.tile(np.arange(64, dtype=np.uint8), (48, 1))
    filled = covering(make_frame(planes=(luma, luma[::2, ::2], luma[::2, ::2])), (96, 16))
    middle = filled.planes[0].mean()
    assert filled.size_hw == (96, 16)
    assert abs(middle - 31.5) < 1  # the mean of the columns cut evenly
