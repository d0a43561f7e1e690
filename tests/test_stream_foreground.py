"""Foreground: the person's colors at the edge are the person's; everything else stays as it was."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from stream.backgrounds import open_background
from stream.compose import alpha_at, composite
from stream.foreground import clean
from stream.frame import SRGB, ColorTags, Frame, Matrix, Primaries, Transfer
from stream.matte import MatteRefiner, evenly

FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv411p", "gbrp", "gbrp16le", "gray"]
SIZES_HW = [(48, 64), (47, 63), (360, 640), (16, 300), (2, 1), (1, 1)]


def disk(size_hw: tuple[int, int], softness_px: float = 8) -> np.ndarray:
    """A round person in the middle with a soft edge."""
    h, w = size_hw
    rows, columns = np.indices(size_hw)
    away = np.hypot(rows - (h - 1) / 2, columns - (w - 1) / 2)
    return np.clip((0.3 * min(h, w) - away) / softness_px + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize("size_hw", SIZES_HW)
@pytest.mark.parametrize("format", FORMATS)
def test_what_is_all_person_or_all_room_keeps_its_bits(make_frame, format, size_hw) -> None:
    frame, alpha = make_frame(format, size_hw), disk(size_hw)
    cleaned = clean(frame, alpha)
    assert (cleaned.format, cleaned.color, cleaned.pts) == (frame.format, frame.color, frame.pts)
    for plane, before in zip(cleaned.planes, frame.planes, strict=True):
        sure = np.isin(alpha_at(alpha, plane.shape), (0, 1))
        assert plane.dtype == before.dtype and plane.shape == before.shape
        assert np.array_equal(plane[sure], before[sure])


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("format", FORMATS)
def test_without_an_edge_nothing_changes(make_frame, format, value) -> None:
    frame = make_frame(format)
    cleaned = clean(frame, np.full(frame.size_hw, value, np.float32))
    assert all(map(np.array_equal, cleaned.planes, frame.planes))


@pytest.mark.parametrize("size_hw", SIZES_HW)
@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_of_one_color_stays_so(make_frame, format, size_hw) -> None:
    frame = make_frame(format, size_hw, fill=(90, 140, 70))
    for alpha in (disk(size_hw), np.random.default_rng(1).random(size_hw, np.float32)):
        cleaned = clean(frame, alpha)
        assert all(map(np.array_equal, cleaned.planes, frame.planes))


@pytest.mark.parametrize(("softness_px", "share"), [(2, 0.2), (4, 0.2), (8, 0.2), (16, 0.4)])
@pytest.mark.parametrize("format", [name for name in FORMATS if name != "gray"])
def test_two_flat_colors_are_taken_apart(make_frame, format, softness_px, share) -> None:
    size_hw = (360, 640)
    shift = make_frame(format).layout.depth - 8
    person = make_frame(format, size_hw, fill=tuple(v << shift for v in (180, 100, 150)))
    room = make_frame(format, size_hw, fill=tuple(v << shift for v in (40, 140, 90)))
    alpha = disk(size_hw, softness_px)
    frame = composite(person, room.planes, alpha)
    for plane, mixed, truth in zip(
        clean(frame, alpha).planes, frame.planes, person.planes, strict=True
    ):
        part = alpha_at(alpha, plane.shape)
        edge = (part > 0.1) & (part < 1)
        left, before = (np.abs(each.astype(float) - truth)[edge] for each in (plane, mixed))
        # Chroma at a quarter of the width blurs the narrowest edges over one value.
        narrow = format == "yuv411p" and softness_px < 4
        assert left.mean() <= (0.35 if narrow else share) * before.mean()
        assert np.all(left <= before + (1 << shift))


def test_the_rim_of_the_old_room_goes(make_frame) -> None:
    """Textured person, textured room, on a new background: nearer to the truth by far."""
    size_hw, rng = (360, 640), np.random.default_rng(2)
    smooth = [cv2.GaussianBlur(rng.random(size_hw, np.float32), (0, 0), 12) for _ in range(2)]
    textures = [np.rint((s - s.mean()) / s.std() * 15).astype(int) for s in smooth]
    person, room = (
        make_frame("gray", size_hw, planes=(np.clip(level + texture, 0, 255).astype(np.uint8),))
        for level, texture in zip((70, 190), textures, strict=True)
    )
    new = make_frame("gray", size_hw, fill=(120,))
    alpha = disk(size_hw, 6)
    frame = composite(person, room.planes, alpha)
    edge = (alpha > 0) & (alpha < 1)
    truth = composite(person, new.planes, alpha).planes[0].astype(float)
    errors = [
        np.abs(composite(each, new.planes, alpha).planes[0] - truth)[edge].mean()
        for each in (frame, clean(frame, alpha))
    ]
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le"])
def test_no_value_leaves_its_range(make_frame, format, full_range) -> None:
    color = ColorTags(Matrix.BT709, full_range, Primaries.BT709, Transfer.BT709)
    frame = make_frame(format, (96, 128), color=color)
    unit = 1 << (frame.layout.depth - 8)
    lows, highs = ((0,) * 3, (256 * unit - 1,) * 3)
    if not full_range:
        lows, highs = (16 * unit,) * 3, (235 * unit, 240 * unit, 240 * unit)
    extremes = tuple(
        np.where(plane % 2, low, high).astype(plane.dtype)
        for plane, low, high in zip(frame.planes, lows, highs, strict=True)
    )
    alpha = np.random.default_rng(1).random((96, 128), np.float32) ** 4  # most of it near 0
    cleaned = clean(frame.with_planes(extremes), alpha)
    for plane, low, high in zip(cleaned.planes, lows, highs, strict=True):
        assert plane.min() >= low and plane.max() <= high


def test_the_faintest_alpha_does_not_explode(make_frame) -> None:
    frame = make_frame("yuv420p", (96, 128), fill=(90, 120, 130))
    faint = np.full((96, 128), 1e-7, np.float32)
    assert all(map(np.array_equal, clean(frame, faint).planes, frame.planes))


def test_inputs_are_not_modified(make_frame) -> None:
    frame, alpha = make_frame("yuv420p", (96, 128)), disk((96, 128))
    before = [array.copy() for array in (*frame.planes, alpha)]
    for array in (*frame.planes, alpha):
        array.flags.writeable = False
    clean(frame, alpha)
    assert all(map(np.array_equal, (*frame.planes, alpha), before))


def test_planes_that_are_views_are_taken_as_they_look(make_frame) -> None:
    frame, alpha = make_frame("yuv444p", (96, 256)), disk((96, 128))
    views = frame.with_planes(tuple(plane[:, ::2] for plane in frame.planes))
    copies = frame.with_planes(tuple(plane.copy() for plane in views.planes))
    assert all(map(np.array_equal, clean(views, alpha).planes, clean(copies, alpha).planes))


# In the line, before every background


@pytest.mark.parametrize(("grow", "feather"), [(0, 0), (6, 0), (-6, 8), (3, -8)])
@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le", "gbrp"])
@pytest.mark.parametrize("spec", ["blur", "#00b140", "transparent"])
def test_the_person_comes_through_the_whole_line_to_the_bit(
    make_frame, spec, format, grow, feather
) -> None:
    frame, matte = make_frame(format, (143, 255)), MatteRefiner(grow * 4, feather * 4, evenly)
    alpha = matte.refine(disk((64, 114)), frame)
    composed = open_background(spec).compose(clean(frame, alpha), alpha)
    assert 0 < np.count_nonzero(alpha == 1) < alpha.size
    for plane, before in zip(composed.planes, frame.planes, strict=False):
        person = alpha_at(alpha, plane.shape) == 1
        assert np.array_equal(plane[person], before[person])


@pytest.mark.parametrize("format", ["yuv420p", "yuv444p12le", "gbrp"])
def test_the_blurred_room_is_none_of_the_cleaned_colors(make_frame, format) -> None:
    """A person of one extreme in a flat room: the room behind must stay as it was."""
    shift = make_frame(format).layout.depth - 8
    person = make_frame(format, (360, 640), fill=(16 << shift, 240 << shift, 16 << shift))
    room = make_frame(format, (360, 640), fill=(120 << shift, 128 << shift, 128 << shift))
    alpha = disk((360, 640), 30)
    cleaned = clean(composite(person, room.planes, alpha), alpha)
    composed = open_background("blur").compose(cleaned, alpha)
    for plane, flat in zip(composed.planes, room.planes, strict=True):
        around = alpha_at(alpha, plane.shape) == 0
        assert np.abs(plane.astype(int) - flat)[around].max() <= 1 << shift


@pytest.mark.parametrize(
    ("spec", "blends"),
    [("none", False), ("matte", False), ("transparent", True), ("blur", True), ("red", True)],
)
def test_only_what_blends_asks_for_clean_edges(spec, blends) -> None:
    assert open_background(spec).blends is blends


@pytest.mark.parametrize("seed", range(8))
def test_an_estimate_beyond_white_does_not_begin_anew_at_black(seed) -> None:
    rng = np.random.default_rng(seed)
    columns = np.arange(320)[np.newaxis]
    plane = np.repeat(np.where(columns < 160, 255, 0).astype(np.uint8), 240, axis=0)
    # A matte that lags behind the edge, now more, now less, takes white for a mixture.
    edge = 150 + rng.uniform(-12, 25) + rng.normal(0, 3, (240, 1))
    alpha = np.clip((edge - columns) / rng.uniform(5, 30) + 0.5, 0, 1).astype(np.float32)
    frame = Frame((plane,) * 3, "gbrp", SRGB, 0, Fraction(1, 30), 0)
    for cleaned in clean(frame, alpha).planes:
        assert cleaned[plane == 255].min() > 150
