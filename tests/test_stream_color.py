"""What stored values mean: against the formulas of BT.601, 709, 2020 and 2100, and swscale."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest

from stream.color import assumed_tags, planes_of, rgb_of
from stream.frame import SRGB, ColorTags, Matrix, Primaries, Transfer

BT709 = ColorTags(Matrix.BT709, False, Primaries.BT709, Transfer.BT709)
BT601 = ColorTags(Matrix.SMPTE170M, False, Primaries.SMPTE170M, Transfer.SMPTE170M)
PAL = ColorTags(Matrix.BT470BG, False, Primaries.BT470BG, Transfer.SMPTE170M)
BT2020 = ColorTags(Matrix.BT2020_NCL, False, Primaries.BT2020, Transfer.BT709)
PQ = replace(BT2020, transfer=Transfer.PQ)
HLG = replace(BT2020, transfer=Transfer.HLG)
UNTAGGED = ColorTags(2, False, 2, 2)
LUMA = {
    Matrix.BT709: (0.2126, 0.7152, 0.0722),
    Matrix.SMPTE170M: (0.299, 0.587, 0.114),
    Matrix.BT470BG: (0.299, 0.587, 0.114),
    Matrix.BT2020_NCL: (0.2627, 0.6780, 0.0593),
}
FORMATS = [
    ("yuv444p", 8),
    ("yuv444p10le", 10),
    ("yuv444p12le", 12),
]
GRAY = (0.0, 0.25, 0.5, 1.0)


def stored_by_the_book(rgb: np.ndarray, tags: ColorTags, depth: int) -> np.ndarray:
    """(…, 3) R'G'B' 0-1 → (…, 3) Y Cb Cr before rounding: the standards' own equations."""
    kr, kg, kb = LUMA[Matrix(tags.matrix)]
    red, green, blue = np.moveaxis(rgb.astype(np.float64), -1, 0)
    luma = kr * red + kg * green + kb * blue
    cb, cr = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    if tags.full_range:
        top, half = 2**depth - 1, 2 ** (depth - 1)
        return np.stack([luma * top, cb * top + half, cr * top + half], -1)
    levels = np.stack([219 * luma + 16, 224 * cb + 128, 224 * cr + 128], -1)
    return levels * 2 ** (depth - 8)


def all_corners_and_some(count: int = 500) -> np.ndarray:
    """(1, n, 3): black, white, the six pure colors and noise between them."""
    corners = [[red, green, blue] for red in (0, 1) for green in (0, 1) for blue in (0, 1)]
    noise = np.random.default_rng(1).random((count, 3))
    return np.concatenate([corners, noise])[None].astype(np.float32)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("tags", [BT709, BT601, PAL, BT2020])
@pytest.mark.parametrize(("format", "depth"), FORMATS)
def test_colors_are_stored_by_the_book(make_frame, format, depth, tags, full_range) -> None:
    tags, rgb = replace(tags, full_range=full_range), all_corners_and_some()
    like = make_frame(format, rgb.shape[:2], color=tags)
    expected = np.clip(stored_by_the_book(rgb, tags, depth), 0, 2**depth - 1)
    assert np.abs(np.dstack(planes_of(rgb, like)) - expected).max() <= 0.51  # rounding alone
    assert {plane.dtype for plane in planes_of(rgb, like)} == {like.planes[0].dtype}


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("tags", [BT709, BT601, BT2020])
@pytest.mark.parametrize(("format", "depth"), FORMATS)
def test_stored_values_are_read_by_the_book(make_frame, format, depth, tags, full_range) -> None:
    tags, rgb = replace(tags, full_range=full_range), all_corners_and_some()
    stored = np.clip(stored_by_the_book(rgb, tags, depth), 0, 2**depth - 1).round()
    planes = tuple(np.moveaxis(stored, -1, 0).astype(np.uint8 if depth == 8 else np.uint16))
    frame = make_frame(format, planes=planes, color=tags)
    # Half a code value of Y and of a color difference, which weighs up to 2 (1 - Kb) < 1.9.
    step = 0.5 / (219 * 2 ** (depth - 8))
    assert np.abs(rgb_of(frame, rgb.shape[:2]) - rgb).max() <= 2.9 * step + 1e-5


@pytest.mark.parametrize("tags", [BT709, BT601])
@pytest.mark.parametrize("full_range", [False, True])
def test_colors_agree_with_swscale(make_frame, tags, full_range) -> None:
    tags = replace(tags, full_range=full_range)
    values = np.array([0, 60, 128, 200, 255], np.uint8)
    for rgb in np.stack(np.meshgrid(values, values, values), -1).reshape(-1, 3):
        picture = av.VideoFrame.from_ndarray(np.tile(rgb, (16, 16, 1)), "rgb24").reformat(
            format="yuv444p",
            dst_colorspace=1 if tags is BT709 or tags.matrix == Matrix.BT709 else 5,
            dst_color_range=2 if full_range else 1,
        )
        theirs = picture.to_ndarray()[:, 8, 8].astype(int)
        like = make_frame("yuv444p", (1, 1), color=tags)
        ours = planes_of(rgb.reshape(1, 1, 3).astype(np.float32) / 255, like)
        assert np.abs(np.ravel(ours) - theirs).max() <= 1, rgb


@pytest.mark.parametrize("depth", [8, 10, 16])
def test_planar_rgb_is_kept_to_the_bit(make_frame, depth) -> None:
    frame = make_frame("gbrp" if depth == 8 else f"gbrp{depth}le", (9, 7))
    again = planes_of(rgb_of(frame, (9, 7)), frame)
    slack = 0 if depth < 16 else 1  # float32 carries 24 bits
    assert all(
        np.abs(a.astype(int) - b).max() <= slack for a, b in zip(again, frame.planes, strict=True)
    )


def test_planar_rgb_lies_green_blue_red(make_frame) -> None:
    frame = make_frame("gbrp", (2, 2), fill=(51, 102, 255))
    assert rgb_of(frame, (2, 2))[0, 0] == pytest.approx([1.0, 0.2, 0.4], abs=1e-6)


@pytest.mark.parametrize("size_hw", [(8, 8), (7, 5), (1, 1)])
@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le", "yuv440p", "yuv411p"])
def test_chroma_is_the_mean_of_what_it_covers(make_frame, format, size_hw) -> None:
    like = make_frame(format, size_hw)
    v_shift, h_shift = like.layout.chroma_shift
    small_hw = like.layout.plane_hws(size_hw)[1]
    blocks = np.random.default_rng(3).random((*small_hw, 3)).astype(np.float32)
    rgb = blocks.repeat(1 << v_shift, 0).repeat(1 << h_shift, 1)[: size_hw[0], : size_hw[1]]
    planes = planes_of(np.ascontiguousarray(rgb), like)
    assert [plane.shape for plane in planes] == like.layout.plane_hws(size_hw)
    if size_hw == (8, 8):
        expected = stored_by_the_book(blocks, like.color, like.layout.depth)
        assert np.abs(np.dstack(planes[1:]) - expected[..., 1:]).max() <= 0.52


@pytest.mark.parametrize("size_hw", [(32, 64), (45, 80), (200, 100), (3, 300)])
@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le", "gbrp12le", "yuv444p16le"])
def test_a_flat_frame_is_flat_at_any_size(make_frame, format, size_hw) -> None:
    like = make_frame(format, (90, 160))
    color = np.array([0.8, 0.5, 0.3], np.float32)
    frame = like.with_planes(planes_of(np.tile(color, (90, 160, 1)), like))
    image = rgb_of(frame, size_hw)
    assert image.shape == (*size_hw, 3)
    assert np.abs(image - image[0, 0]).max() <= 1e-5
    assert np.abs(image - color).max() <= 1.5 / 219


def test_values_outside_of_the_range_are_clipped(make_frame) -> None:
    for luma, expected in ((0, 0), (255, 1)):
        assert np.all(
            rgb_of(make_frame("yuv444p", (4, 4), fill=(luma, 128, 128)), (4, 4)) == expected
        )


# HDR


def pq_by_the_book(nits: np.ndarray | float) -> np.ndarray:
    """SMPTE ST 2084's curve, with the constants in the standard's decimal notation."""
    power = (np.asarray(nits, np.float64) / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def flat(color: tuple[float, ...]) -> np.ndarray:
    return np.tile(np.array(color, np.float32), (4, 4, 1))


@pytest.mark.parametrize(("tags", "level"), [(PQ, 0.58), (HLG, 0.75)])
@pytest.mark.parametrize(("format", "unit"), [("yuv420p10le", 4), ("yuv444p12le", 16)])
def test_white_lands_at_reference_white(make_frame, tags, level, format, unit) -> None:
    like = make_frame(format, (4, 4), color=tags)
    luma, cb, cr = planes_of(flat((1, 1, 1)), like)
    assert np.abs(luma - (219 * level + 16) * unit).max() <= unit  # BT.2408: 58 % and 75 %
    if tags is PQ:
        exact = (219 * float(pq_by_the_book(203)) + 16) * unit
        assert np.abs(luma - exact).max() <= 0.51
    assert np.all(cb == 128 * unit) and np.all(cr == 128 * unit)


@pytest.mark.parametrize("tags", [PQ, HLG])
def test_hdr_reference_white_is_the_networks_white(make_frame, tags) -> None:
    frame = make_frame("yuv444p12le", (4, 4), color=tags)
    for value in GRAY:
        shown = frame.with_planes(planes_of(flat((value,) * 3), frame))
        assert rgb_of(shown, (4, 4)) == pytest.approx(np.full((4, 4, 3), value), abs=0.01)
    bright = make_frame("yuv444p10le", (4, 4), fill=(940, 512, 512), color=tags)
    assert rgb_of(bright, (4, 4)) == pytest.approx(np.ones((4, 4, 3)))


def test_red_is_placed_inside_the_wider_primaries(make_frame) -> None:
    planes = planes_of(flat((1, 0, 0)), make_frame("yuv444p12le", (4, 4), color=PQ))
    light = np.array([0.6274, 0.0691, 0.0164]) * 203  # BT.2087: BT.709's red in BT.2020
    expected = stored_by_the_book(pq_by_the_book(light), PQ, 12)
    assert np.abs([plane[0, 0] for plane in planes] - expected).max() <= 1
    narrow = replace(PQ, primaries=Primaries.BT709)
    planes = planes_of(flat((1, 0, 0)), make_frame("yuv444p12le", (4, 4), color=narrow))
    expected = stored_by_the_book(pq_by_the_book(np.array([203.0, 0, 0])), narrow, 12)
    assert np.abs([plane[0, 0] for plane in planes] - expected).max() <= 1


@pytest.mark.parametrize("tags", [PQ, HLG])
@pytest.mark.parametrize("color", [(0.9, 0.6, 0.5), (0.2, 0.7, 0.3), (0.1, 0.2, 0.8)])
def test_the_network_sees_hdr_colors_as_saturated_as_sdr_ones(make_frame, tags, color) -> None:
    frame = make_frame("yuv444p12le", (4, 4), color=tags)
    shown = frame.with_planes(planes_of(flat(color), frame))
    assert rgb_of(shown, (4, 4))[0, 0] == pytest.approx(color, abs=0.02)


@pytest.mark.parametrize("source", [PQ, HLG, SRGB])
@pytest.mark.parametrize("target", [PQ, HLG, BT709])
def test_white_stays_white_between_sdr_and_hdr(make_frame, source, target) -> None:
    levels = {Transfer.PQ: pq_by_the_book(203), Transfer.HLG: 0.75}
    level, wanted = (float(levels.get(tags.transfer, 1)) for tags in (source, target))
    tags = replace(SRGB, primaries=source.primaries, transfer=source.transfer)
    like = make_frame("yuv444p10le", (4, 4), color=target)
    luma, cb, cr = planes_of(flat((level,) * 3), like, tags)
    assert np.abs(luma - (219 * wanted + 16) * 4.0).max() <= 1
    assert np.abs(cb - 512.0).max() <= 1 and np.abs(cr - 512.0).max() <= 1


def test_between_sdr_clips_values_are_taken_over(make_frame) -> None:
    like, color = make_frame("gbrp", (4, 4)), flat((0.2, 0.4, 0.6))
    other = replace(SRGB, primaries=Primaries.BT2020, transfer=Transfer.BT709)
    for mine, theirs in zip(planes_of(color, like), planes_of(color, like, other), strict=True):
        assert np.array_equal(mine, theirs)


# Tags


@pytest.mark.parametrize(
    ("size_hw", "expected"),
    [
        ((480, 720), BT601),
        ((719, 1280), BT601),
        ((576, 720), PAL),
        ((720, 1280), BT709),
        ((1280, 720), BT709),
        ((4320, 7680), BT709),
    ],
)
def test_untagged_clips_are_taken_by_their_lines(size_hw, expected) -> None:
    assert assumed_tags(UNTAGGED, size_hw, "yuv") == expected
    zeros = ColorTags(0, False, 0, 0)  # reserved numbers say nothing either
    assert assumed_tags(zeros, size_hw, "yuv") == expected


def test_tags_that_are_given_are_kept() -> None:
    for tags in (PQ, HLG, BT709, replace(BT601, full_range=True)):
        assert assumed_tags(tags, (100, 100), "yuv") == tags
    half = ColorTags(Matrix.BT709, True, 2, Transfer.HLG)
    assert assumed_tags(half, (480, 640), "yuv") == replace(
        BT601, matrix=Matrix.BT709, full_range=True, transfer=Transfer.HLG
    )


def test_rgb_is_full_range_srgb_unless_it_says_otherwise() -> None:
    assert assumed_tags(UNTAGGED, (480, 640), "rgb") == SRGB
    hdr = ColorTags(Matrix.RGB, True, Primaries.BT2020, Transfer.PQ)
    assert assumed_tags(hdr, (480, 640), "rgb") == hdr
