"""Backgrounds: what all of them promise, colors, pictures, and what a user may write."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stream.backgrounds import open_background
from stream.frame import ColorTags, Frame, Matrix, Primaries, Transfer
from stream.interfaces import Background

SPECS = ["none", "matte", "transparent", "#00b140", "blur", "blur:90", "PICTURE", "CLIP"]
REPLACING = [spec for spec in SPECS if spec not in ("none", "matte", "transparent")]
FORMATS = ["yuv420p", "yuv422p10le", "yuv444p12le", "yuv440p", "gbrp", "gbrp16le"]
SIZES_HW = [(48, 64), (47, 63), (64, 36), (2, 2)]
PQ = ColorTags(Matrix.BT2020_NCL, False, Primaries.BT2020, Transfer.PQ)


def gradient(size_hw: tuple[int, int]) -> np.ndarray:
    """(h, w, 3): red grows to the right, green downwards; any pixel tells where it was."""
    h, w = size_hw
    rows, columns = np.indices(size_hw)
    red, green = (columns + 0.5) / w, (rows + 0.5) / h
    return np.rint(np.dstack([red, green, np.full(size_hw, 0.5)]) * 255).astype(np.uint8)


def save(path: Path, rgb: np.ndarray, **options) -> str:
    Image.fromarray(rgb).save(path, **options)
    return str(path)


@pytest.fixture
def opened(make_clip, tmp_path: Path) -> Iterator:
    """opened(spec) is a background that is closed in the end."""
    backgrounds: list[Background] = []

    def open_one(spec: str) -> Background:
        if spec == "CLIP":
            spec = str(make_clip("behind.mp4"))
        elif spec == "PICTURE":
            spec = save(tmp_path / "behind.png", gradient((30, 50)))
        backgrounds.append(open_background(spec))
        return backgrounds[-1]

    yield open_one
    for background in backgrounds:
        background.close()


def nobody(frame: Frame) -> np.ndarray:
    return np.zeros(frame.size_hw, np.float32)


def shown_behind(background: Background, frame: Frame) -> np.ndarray:
    """(H, W, 3) RGB of the background alone, of a planar RGB frame."""
    green, blue, red = background.compose(frame, nobody(frame)).planes
    return np.dstack([red, green, blue])


# What each of them promises


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("format", FORMATS)
def test_inputs_are_not_modified(opened, make_frame, spec, format) -> None:
    background, frame = opened(spec), make_frame(format)
    alpha = np.random.default_rng(1).random((48, 64), np.float32)
    before = [array.copy() for array in (*frame.planes, alpha)]
    for array in (*frame.planes, alpha):
        array.flags.writeable = False
    background.compose(frame, alpha)
    assert all(map(np.array_equal, (*frame.planes, alpha), before))


@pytest.mark.parametrize("size_hw", SIZES_HW)
@pytest.mark.parametrize("spec", SPECS)
def test_size_and_time_are_the_frames(opened, make_frame, spec, size_hw) -> None:
    frame = make_frame("yuv420p", size_hw, pts=11, pixel_aspect=Fraction(4, 3))
    composed = opened(spec).compose(frame, nobody(frame))
    assert composed.size_hw == size_hw
    assert (composed.pts, composed.time_base, composed.pixel_aspect) == (
        *(11, frame.time_base),
        Fraction(4, 3),
    )
    assert [plane.shape for plane in composed.planes] == composed.layout.plane_hws(size_hw)
    assert {plane.dtype for plane in composed.planes} == {np.dtype(composed.layout.dtype)}


@pytest.mark.parametrize("size_hw", SIZES_HW)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("spec", ["none", *REPLACING])
def test_the_person_is_kept_to_the_bit(opened, make_frame, spec, format, size_hw) -> None:
    frame = make_frame(format, size_hw)
    composed = opened(spec).compose(frame, np.ones(size_hw, np.float32))
    assert (composed.format, composed.color) == (frame.format, frame.color)
    assert all(map(np.array_equal, composed.planes, frame.planes))


@pytest.mark.parametrize("spec", REPLACING)
def test_frames_of_another_kind_get_their_own_background(opened, make_frame, spec) -> None:
    background = opened(spec)
    kinds = [
        ("yuv420p", (48, 64)),
        ("gbrp", (48, 64)),
        ("yuv420p", (64, 36)),
        ("yuv420p", (48, 64)),
    ]
    for format, size_hw in kinds:
        frame = make_frame(format, size_hw)
        fresh = opened(spec).compose(frame, nobody(frame))
        composed = background.compose(frame, nobody(frame))
        assert all(map(np.array_equal, composed.planes, fresh.planes))


@pytest.mark.parametrize("spec", SPECS)
def test_close_twice_is_fine(opened, make_frame, spec) -> None:
    background, frame = opened(spec), make_frame()
    background.compose(frame, nobody(frame))
    background.close()
    background.close()


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec != "none"])
@pytest.mark.parametrize("format", FORMATS)
def test_alone_shows_nothing_of_the_frame(opened, make_frame, spec, format) -> None:
    background, frame = opened(spec), make_frame(format)
    composed = background.compose(frame, nobody(frame))
    room = frame.with_planes(tuple(plane[::-1] for plane in frame.planes))
    alone, other = background.alone(frame), background.alone(room)
    assert all(map(np.array_equal, alone.planes, other.planes))
    assert (alone.format, alone.pts) == (composed.format, composed.pts)
    assert [plane.shape for plane in alone.planes] == [plane.shape for plane in composed.planes]


@pytest.mark.parametrize("spec", [spec for spec in REPLACING if not spec.startswith("blur")])
def test_alone_is_the_background_itself(opened, make_frame, spec) -> None:
    background, frame = opened(spec), make_frame("yuv420p")
    alone, composed = background.alone(frame), background.compose(frame, nobody(frame))
    assert all(map(np.array_equal, alone.planes, composed.planes))


def test_blur_alone_is_gray_before_it_saw_a_room(opened, make_frame) -> None:
    alone = opened("blur").alone(make_frame("yuv420p"))
    assert all(np.all(plane == 128) for plane in alone.planes)


def test_blur_alone_is_the_last_room_much_softer_and_without_the_person(opened, make_frame) -> None:
    size_hw = (360, 640)
    room = np.full(size_hw, 60, np.uint8)
    room[:, 320:] = 120  # an edge, to see how soft it is
    alpha = np.zeros(size_hw, np.float32)
    alpha[100:, 200:300] = 1
    luma = np.where(alpha > 0, 255, room).astype(np.uint8)
    background, frame = opened("blur"), make_frame("gray", size_hw).with_planes((luma,))
    sharp = background.compose(frame, alpha).planes[0].astype(float)
    alone = background.alone(frame).planes[0].astype(float)
    assert alone.max() <= 121, "the person does not shine through"
    between = [int(np.sum((each[10] > 65) & (each[10] < 115))) for each in (sharp, alone)]
    assert between[1] > 3 * between[0]
    assert background.compose(frame, alpha).planes[0].astype(float) == pytest.approx(sharp)


# Matte and transparent


def test_matte_is_the_alpha_in_256_grays(opened, make_frame) -> None:
    alpha = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    composed = opened("matte").compose(make_frame("yuv422p10le"), alpha)
    assert (composed.format, composed.color.full_range) == ("gray", True)
    assert np.abs(composed.planes[0] - alpha * 255.0).max() <= 0.501
    assert {0, 255} <= set(composed.planes[0].ravel().tolist())


@pytest.mark.parametrize("format", FORMATS)
def test_transparent_adds_the_alpha_and_changes_no_color(opened, make_frame, format) -> None:
    frame = make_frame(format)
    alpha = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    composed = opened("transparent").compose(frame, alpha)
    top = (1 << frame.layout.depth) - 1
    assert composed.layout == replace(frame.layout, has_alpha=True)
    assert all(map(np.array_equal, composed.planes, frame.planes))
    assert np.abs(composed.planes[3] - alpha.astype(float) * top).max() <= 0.51
    assert (composed.planes[3][0, 0], composed.planes[3][-1, -1]) == (0, top)


# Colors


@pytest.mark.parametrize(
    ("format", "expected"),  # BT.709's own numbers for red, in limited range
    [("yuv420p", (63, 102, 240)), ("yuv444p10le", (250, 409, 960)), ("gbrp", (0, 0, 255))],
)
def test_a_color_is_stored_as_the_frame_stores_it(opened, make_frame, format, expected) -> None:
    frame = make_frame(format)
    planes = opened("red").compose(frame, nobody(frame)).planes
    for plane, value in zip(planes, expected, strict=True):
        assert np.all(np.abs(plane.astype(int) - value) <= 1) and np.ptp(plane) == 0


@pytest.mark.parametrize(
    ("spec", "rgb"),
    [("#00b140", (0, 177, 64)), ("#f00", (255, 0, 0)), ("Green", (0, 128, 0))],
)
def test_colors_are_written_as_on_the_web(opened, make_frame, spec, rgb) -> None:
    assert np.all(shown_behind(opened(spec), make_frame("gbrp")) == rgb)


def test_a_white_background_is_no_brighter_than_white_in_hdr(opened, make_frame) -> None:
    frame = make_frame("yuv420p10le", color=PQ)
    luma, *chroma = opened("white").compose(frame, nobody(frame)).planes
    assert np.all(np.abs(luma.astype(int) - (64 + 876 * 0.58)) <= 1.5)
    assert all(np.all(plane == 512) for plane in chroma)


# Pictures


@pytest.mark.parametrize("pixel_aspect", [Fraction(1), Fraction(2), Fraction(12, 11)])
@pytest.mark.parametrize("picture_hw", [(300, 400), (30, 40), (90, 30), (33, 95), (48, 64)])
@pytest.mark.parametrize("frame_hw", [(48, 64), (64, 48), (47, 63), (20, 90)])
def test_a_picture_covers_and_keeps_its_aspect_and_center(
    opened, make_frame, tmp_path, frame_hw, picture_hw, pixel_aspect
) -> None:
    background = opened(save(tmp_path / "gradient.png", gradient(picture_hw)))
    shown = shown_behind(background, make_frame("gbrp", frame_hw, pixel_aspect=pixel_aspect))
    (height, width), (h, w) = frame_hw, picture_hw
    scale = max(height / h, width * pixel_aspect / w)  # shown pixels of one picture pixel
    rows, columns = np.indices(frame_hw)
    down = 0.5 + (rows + 0.5 - height / 2) / (scale * h)
    right = 0.5 + (columns + 0.5 - width / 2) * float(pixel_aspect) / (scale * w)
    inside = (np.abs(down - 0.5) < 0.5 - 1 / h) & (np.abs(right - 0.5) < 0.5 - 1 / w)
    # The size is rounded to a pixel and so is the crop; a gray value is 1/255.
    slack_down, slack_right = 1.1 / height + 1 / 255, 1.1 / width + 1 / 255
    assert np.abs(shown[..., 1] / 255 - down)[inside].max() <= slack_down
    assert np.abs(shown[..., 0] / 255 - right)[inside].max() <= slack_right
    assert np.all(np.abs(shown[..., 2].astype(int) - 128) <= 1), "not covered"


def test_a_picture_is_turned_upright(opened, make_frame, tmp_path) -> None:
    exif, upright = Image.Exif(), gradient((48, 64))
    exif[0x0112] = 6  # to be turned a quarter clockwise
    spec = save(tmp_path / "phone.png", np.ascontiguousarray(np.rot90(upright)), exif=exif)
    assert np.array_equal(shown_behind(opened(spec), make_frame("gbrp")), upright)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_phones_jpeg_with_a_second_picture_inside_is_a_picture(
    opened, make_frame, tmp_path, orientation
) -> None:
    exif, upright = Image.Exif(), gradient((48, 64))
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(np.rot90(upright)) if orientation == 6 else upright
    second = [Image.fromarray(stored[::2, ::2])]
    options = {"save_all": True, "append_images": second, "exif": exif, "quality": 95}
    spec = save(tmp_path / "phone.jpg", stored, format="MPO", **options)
    shown = shown_behind(opened(spec), make_frame("gbrp"))
    assert np.abs(shown.astype(int) - upright).mean() <= 4


def test_pages_of_a_tiff_are_no_film(opened, make_frame, tmp_path) -> None:
    pages = {"save_all": True, "append_images": [Image.new("RGB", (64, 48), "red")]}
    spec = save(tmp_path / "scan.tiff", gradient((48, 64)), **pages)
    assert np.array_equal(shown_behind(opened(spec), make_frame("gbrp")), gradient((48, 64)))


@pytest.mark.parametrize("mode", ["L", "I;16", "P", "RGBA", "CMYK", "1"])
def test_a_picture_of_any_kind_shows_its_colors(opened, make_frame, tmp_path, mode) -> None:
    gray = np.full((48, 64), 128 if mode != "1" else 255, np.uint8)
    picture = Image.fromarray(gray)
    if mode == "I;16":
        picture = Image.fromarray(gray.astype(np.uint16) * 257)
    elif mode == "P":
        picture = picture.quantize(2)
    elif mode != "L":
        picture = picture.convert("RGB").convert(mode)
    path = tmp_path / ("any.tiff" if mode == "CMYK" else "any.png")
    picture.save(path)
    shown = shown_behind(opened(str(path)), make_frame("gbrp"))
    assert np.all(np.abs(shown.astype(int) - int(gray[0, 0])) <= 1)


@pytest.mark.parametrize("picture_hw", [(1, 4000), (4000, 1)])
def test_a_thin_strip_needs_no_more_memory_than_a_frame(
    opened, make_frame, tmp_path, picture_hw
) -> None:
    background = opened(save(tmp_path / "strip.png", np.full((*picture_hw, 3), 200, np.uint8)))
    frame = make_frame("gbrp", (48, 64))
    tracemalloc.start()
    assert np.all(shown_behind(background, frame) == 200)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= 2_000_000, "the whole strip is enlarged before it is cropped"


def test_a_file_wins_over_a_color_of_its_name(opened, make_frame, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "red", format="PNG")
    assert np.all(shown_behind(opened("red"), make_frame("gbrp")) == (0, 0, 255))
