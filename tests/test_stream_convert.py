"""Conversion: depths, alpha and RGB, held against shifts, rounding and swscale."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest

from stream.av_frames import nearest_format, picture_of, planes_in, video_tags
from stream.convert import converted
from stream.frame import SRGB, ColorTags, Frame, Matrix, Primaries, Transfer

BT709 = ColorTags(Matrix.BT709, False, Primaries.BT709, Transfer.BT709)
BT601 = ColorTags(Matrix.SMPTE170M, False, Primaries.SMPTE170M, Transfer.SMPTE170M)
LUMA = {Matrix.BT709: (0.2126, 0.7152, 0.0722), Matrix.SMPTE170M: (0.299, 0.587, 0.114)}


def suffix(depth: int) -> str:
    return f"{depth}le" if depth > 8 else ""


def test_a_frame_that_fits_is_left_alone(make_frame) -> None:
    frame = make_frame("yuv420p10le")
    assert converted(frame, "yuv420p10le", frame.color) is frame


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("to_depth", [8, 10, 12, 16])
@pytest.mark.parametrize("chroma", ["yuv420p", "yuv422p", "yuv444p"])
def test_limited_range_is_shifted_and_back_to_the_bit(make_frame, chroma, depth, to_depth) -> None:
    frame = make_frame(chroma + suffix(depth), (47, 63))
    other = converted(frame, chroma + suffix(to_depth), frame.color)
    assert other.layout.depth == to_depth
    for plane, had in zip(other.planes, frame.planes, strict=True):
        assert plane.dtype == other.layout.dtype
        exact = had.astype(float) * 2.0 ** (to_depth - depth)
        if to_depth >= depth:
            assert np.array_equal(plane, exact)
        else:
            assert np.abs(plane - np.minimum(exact, 2**to_depth - 1)).max() <= 0.5
    if to_depth >= depth:
        back = converted(other, frame.format, frame.color)
        assert all(map(np.array_equal, back.planes, frame.planes))


@pytest.mark.parametrize("depth", [8, 10, 12, 16])
@pytest.mark.parametrize("to_depth", [8, 10, 12, 16])
def test_an_opaque_alpha_stays_opaque_to_the_bit(make_frame, depth, to_depth) -> None:
    frame = make_frame("yuva444p" + suffix(depth))
    top, to_top = (1 << depth) - 1, (1 << to_depth) - 1
    ramp = np.linspace(0, top, 48 * 64).round().astype(frame.layout.dtype).reshape(48, 64)
    frame = frame.with_planes((*frame.planes[:3], ramp))
    alpha = converted(frame, "yuva444p" + suffix(to_depth), frame.color).planes[3]
    assert (alpha[0, 0], alpha[-1, -1]) == (0, to_top)
    assert np.abs(alpha - ramp.astype(float) * to_top / top).max() <= 0.51
    if to_depth >= depth:
        wide = frame.with_planes((*frame.planes[:3], alpha), "yuva444p" + suffix(to_depth))
        assert np.array_equal(converted(wide, frame.format, frame.color).planes[3], ramp)


@pytest.mark.parametrize("target", ["yuva420p", "yuva444p12le", "gbrap", "gbrap16le"])
@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le", "gbrp", "gray"])
def test_a_frame_without_alpha_becomes_opaque(make_frame, format, target) -> None:
    color = SRGB if target.startswith("gbr") else BT709
    other = converted(make_frame(format, color=SRGB if format == "gray" else None), target, color)
    assert np.all(other.planes[3] == (1 << other.layout.depth) - 1)
    assert [plane.shape for plane in other.planes] == other.layout.plane_hws((48, 64))


def test_alpha_is_dropped_where_it_cannot_be_kept(make_frame) -> None:
    frame = make_frame("yuva420p")
    opaque = converted(frame, "yuv420p", frame.color)
    assert opaque.format == "yuv420p" and len(opaque.planes) == 3
    assert all(map(np.array_equal, opaque.planes, frame.planes))


def colors() -> np.ndarray:
    values = (0, 51, 128, 255)
    return np.array([(r, g, b) for r in values for g in values for b in values])


def stored(rgb: np.ndarray, color: ColorTags) -> np.ndarray:
    """8-bit Y Cb Cr before rounding, by the book."""
    kr, kg, kb = LUMA[Matrix(color.matrix)]
    red, green, blue = rgb / 255
    luma = kr * red + kg * green + kb * blue
    cb, cr = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    if color.full_range:
        return np.array([luma * 255, cb * 255 + 128, cr * 255 + 128])
    return np.array([219 * luma + 16, 224 * cb + 128, 224 * cr + 128])


@pytest.mark.parametrize("color", [BT709, BT601, replace(BT709, full_range=True)])
@pytest.mark.parametrize(("format", "unit"), [("yuv444p", 1), ("yuv420p", 1), ("yuv422p10le", 4)])
def test_rgb_becomes_yuv_by_the_book(make_frame, format, unit, color) -> None:
    for red, green, blue in colors():
        frame = make_frame("gbrp", (16, 16), fill=(green, blue, red))
        other = converted(frame, format, color)
        assert other.color == color
        found = [float(plane[4, 4]) / unit for plane in other.planes]
        assert (
            np.abs(found - np.clip(stored(np.array([red, green, blue]), color), 0, 255)).max()
            <= 1.5
        )


@pytest.mark.parametrize("color", [BT709, BT601])
@pytest.mark.parametrize("format", ["yuv444p", "yuv420p"])
def test_yuv_becomes_rgb_and_back(make_frame, format, color) -> None:
    for red, green, blue in colors():
        values = np.rint(stored(np.array([red, green, blue]), color)).astype(int)
        frame = make_frame(format, (16, 16), fill=tuple(values), color=color)
        rgb = converted(frame, "gbrp", SRGB)
        found = [int(plane[4, 4]) for plane in rgb.planes]
        assert np.abs(np.array(found) - (green, blue, red)).max() <= 3


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le", "yuv444p12le"])
def test_a_clips_picture_is_swscales_to_a_code_value(make_frame, format) -> None:
    """Inside the gamut: where blue would be far above 255, swscale wraps around to 0."""
    down, right = np.indices((48, 64)) / 64
    rgb = np.stack([0.2 + 0.6 * right, 0.8 - 0.6 * down, 0.3 + 0.3 * (down + right)], -1) * 255
    frame = make_frame(format, (48, 64))
    unit = 1 << (frame.layout.depth - 8)
    planes = tuple(
        np.rint(
            values[:: 48 // plane.shape[0], :: 64 // plane.shape[1]] * unit,
        ).astype(plane.dtype)
        for values, plane in zip(stored(rgb.transpose(2, 0, 1), BT709), frame.planes, strict=True)
    )
    frame = frame.with_planes(planes)
    ours = converted(frame, "gbrp", SRGB)
    theirs = picture_of(frame).reformat(format="gbrp", src_colorspace=1, dst_color_range=2)
    for mine, other in zip(ours.planes, planes_in(theirs), strict=True):
        difference = np.abs(mine.astype(int) - other)
        # Where chroma is subsampled, the two place its values a quarter of a pixel apart.
        assert difference.mean() <= (1 if "444" in format else 2) and difference.max() <= 5


@pytest.mark.parametrize(
    ("target", "top"), [("gbrp", 255), ("gbrp12le", 4095), ("gbrp16le", 65535)]
)
@pytest.mark.parametrize("format", ["yuv420p", "yuv420p10le", "yuv444p12le"])
def test_white_is_the_largest_value_of_rgb(make_frame, format, target, top) -> None:
    unit = 1 << (make_frame(format).layout.depth - 8)
    for part in (0.0, 0.2, 0.6, 1.0):
        fill = (round((16 + 219 * part) * unit), 128 * unit, 128 * unit)
        gray = (fill[0] / unit - 16) / 219
        frame = make_frame(format, (16, 16), fill=fill)
        for plane in converted(frame, target, SRGB).planes:
            assert np.abs(plane / top - gray).max() <= 0.6 / 255


@pytest.mark.parametrize("depth", [8, 10])
def test_white_and_black_of_full_range_keep_their_ends(make_frame, depth) -> None:
    full = replace(BT709, full_range=True)
    top = (1 << depth) - 1
    for value, limited in ((0, 16), (top, 235)):
        fill = (value, 1 << (depth - 1), 1 << (depth - 1))
        frame = make_frame("yuv420p" + suffix(depth), (16, 16), fill=fill, color=full)
        deeper = converted(frame, "yuv420p12le", full)
        assert abs(int(deeper.planes[0][8, 8]) - round(value * 4095 / top)) <= 16
        narrow = converted(frame, "yuv420p", BT709)
        assert abs(int(narrow.planes[0][8, 8]) - limited) <= 1


@pytest.mark.parametrize("size_hw", [(48, 64), (720, 1280)])
def test_a_matte_is_as_gray_in_a_clip(make_frame, size_hw) -> None:
    """8-bit full-range gray into limited-range YUV: 0 → 16, 255 → 235, neutral colors."""
    ramp = np.tile(np.linspace(0, 255, size_hw[1]).round().astype(np.uint8), (size_hw[0], 1))
    matte = make_frame("gray", size_hw, planes=(ramp,), color=SRGB)
    color = video_tags(SRGB, size_hw)
    assert (color.full_range, color.matrix) == (
        False,
        Matrix.BT709 if size_hw[0] >= 720 else Matrix.SMPTE170M,
    )
    luma, *chroma = converted(matte, "yuv420p", color).planes
    assert np.abs(luma - (16 + ramp * (219 / 255))).max() <= 1
    assert all(np.all(np.abs(plane.astype(int) - 128) <= 1) for plane in chroma)


@pytest.mark.parametrize(
    ("format", "offered", "expected"),
    [
        ("yuv420p10le", ["yuv420p", "yuv420p10le", "yuv422p10le"], "yuv420p10le"),
        ("yuv422p10le", ["yuv420p", "yuv420p10le"], "yuv420p10le"),
        ("yuv420p12le", ["yuv420p", "yuv420p10le"], "yuv420p10le"),
        ("yuva420p", ["yuv420p", "yuva444p10le"], "yuva444p10le"),
        ("gbrp", ["gbrp", "yuv420p", "yuv444p"], "yuv420p"),
        ("yuv444p", ["yuv420p", "yuv444p"], "yuv444p"),
    ],
)
def test_the_encoders_nearest_format_loses_the_least(format, offered, expected) -> None:
    assert nearest_format(format, offered) == expected
    assert nearest_format(format, offered[::-1]) == expected


def test_a_frame_survives_the_way_through_ffmpegs_picture(make_frame) -> None:
    for format in ("yuv420p", "yuv422p10le", "gbrp", "yuva444p12le", "gray"):
        frame: Frame = make_frame(format, (47, 63), pts=9)
        picture = picture_of(frame)
        assert isinstance(picture, av.VideoFrame) and picture.pts == 9
        assert all(map(np.array_equal, planes_in(picture), frame.planes))
