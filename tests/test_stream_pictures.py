"""Pictures: every kind of file upright and in its true colors, in natural order."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stream import StreamError
from stream.frame import SRGB
from stream.sources.pictures import Pictures, pictures_in, read_picture


def scene(size_hw: tuple[int, int] = (6, 9)) -> np.ndarray:
    """(h, w, 3) without any symmetry."""
    return np.random.default_rng(4).integers(0, 256, (*size_hw, 3), np.uint8)


def rgb_in(path: Path) -> np.ndarray:
    """(H, W, 3) as read."""
    green, blue, red = read_picture(path).frame.planes
    return np.dstack([red, green, blue])


def stored_for(upright: np.ndarray, orientation: int) -> np.ndarray:
    """What a camera held that way stores, by the EXIF standard's table of rows and columns."""
    turned = {
        1: upright,
        2: upright[:, ::-1],  # row 0 at the top, column 0 at the right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.swapaxes(0, 1),  # left, top
        6: upright[:, ::-1].swapaxes(0, 1),  # right, top
        7: upright[::-1, ::-1].swapaxes(0, 1),  # right, bottom
        8: upright[::-1].swapaxes(0, 1),  # left, bottom
    }
    return np.ascontiguousarray(turned[orientation])


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stands_upright(tmp_path, orientation, suffix) -> None:
    exif, path = Image.Exif(), tmp_path / f"phone{suffix}"
    exif[0x0112] = orientation
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    Image.fromarray(stored_for(scene(), orientation)).save(path, exif=exif, **options)
    assert np.array_equal(rgb_in(path), scene())


def test_a_picture_is_planar_srgb_with_a_time(tmp_path) -> None:
    Image.fromarray(scene()).save(tmp_path / "a.png")
    frame = read_picture(tmp_path / "a.png", 7, Fraction(1, 24)).frame
    assert (frame.format, frame.color, frame.size_hw) == ("gbrp", SRGB, (6, 9))
    assert (frame.pts, frame.time_base, frame.pixel_aspect) == (7, Fraction(1, 24), 1)
    assert np.array_equal(np.dstack(frame.planes), scene()[..., [1, 2, 0]])


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1"])
def test_gray_and_palettes_become_rgb(tmp_path, mode) -> None:
    gray = np.where(np.indices((6, 9)).sum(0) % 3 == 0, 255, 0).astype(np.uint8)
    picture = Image.fromarray(gray)
    (picture.quantize(2) if mode == "P" else picture.convert(mode)).save(tmp_path / "a.png")
    assert np.array_equal(rgb_in(tmp_path / "a.png"), np.dstack([gray] * 3))


def test_alpha_is_dropped_and_colors_kept(tmp_path) -> None:
    alpha = np.random.default_rng(1).integers(0, 256, (6, 9, 1), np.uint8)
    Image.fromarray(np.dstack([scene(), alpha])).save(tmp_path / "a.png")
    assert np.array_equal(rgb_in(tmp_path / "a.png"), scene())


def test_a_palette_with_a_transparent_color_is_read(tmp_path) -> None:
    picture = Image.fromarray(scene()).quantize(16)
    picture.save(tmp_path / "a.png", transparency=3)
    assert np.array_equal(rgb_in(tmp_path / "a.png"), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("suffix", [".jpg", ".tiff"])
def test_cmyk_becomes_rgb(tmp_path, suffix) -> None:
    picture = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    picture.save(tmp_path / f"print{suffix}")
    assert np.abs(rgb_in(tmp_path / f"print{suffix}").astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bits_keep_their_brightness(tmp_path, suffix) -> None:
    deep = np.tile(np.linspace(0, 65535, 64).round().astype(np.uint16), (4, 1))
    Image.fromarray(deep).save(tmp_path / f"deep{suffix}")
    found = rgb_in(tmp_path / f"deep{suffix}")[..., 0]
    assert np.abs(found - deep / 257).max() <= 1


def test_16_bit_colors_keep_their_brightness(tmp_path) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV writes the 16-bit PNG of this test")
    deep = scene().astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep.png"), cv2.cvtColor(deep, cv2.COLOR_RGB2BGR))
    assert np.abs(rgb_in(tmp_path / "deep.png").astype(int) - scene()).max() <= 1


def test_the_color_profile_comes_along_where_it_still_fits(tmp_path) -> None:
    profile = b"a profile, not looked into"
    for mode, kept in (("RGB", profile), ("RGBA", profile), ("L", None), ("CMYK", None)):
        path = tmp_path / f"{mode}.tiff"
        Image.new(mode, (8, 8)).save(path, icc_profile=profile)
        assert read_picture(path).icc_profile == kept, mode
    Image.new("RGB", (8, 8)).save(tmp_path / "none.png")
    assert read_picture(tmp_path / "none.png").icc_profile is None


@pytest.mark.parametrize("contents", [b"", b"plain words\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_a_broken_picture_is_named(tmp_path, contents) -> None:
    (tmp_path / "broken.png").write_bytes(contents)
    with pytest.raises(StreamError, match=r"broken\.png") as error:
        read_picture(tmp_path / "broken.png")
    assert "\n" not in str(error.value)
    assert str(error.value).count("broken.png") == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".bmp"])
def test_a_picture_cut_short_is_named(tmp_path, suffix) -> None:
    path = tmp_path / f"short{suffix}"
    Image.fromarray(scene((90, 90))).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(StreamError, match="short"):
        read_picture(path)


def test_a_missing_picture_is_named(tmp_path) -> None:
    with pytest.raises(StreamError, match=r"none\.png"):
        read_picture(tmp_path / "none.png")


# Folders


@pytest.mark.parametrize(
    "names",
    [
        ["1.png", "2.png", "10.png", "100.png"],
        ["frame7.jpg", "frame08.jpg", "frame9.jpg", "frame11.jpg"],
        ["a1b9.png", "a1b10.png", "a2b1.png", "b.png"],
        ["IMG_0042.JPG", "IMG_0043.jpeg", "IMG_0050.png"],
        ["shot 3.webp", "shot 20.webp", "x1²2.png"],
    ],
)
def test_order_is_natural(tmp_path, names) -> None:
    for name in sorted(names, reverse=True):
        (tmp_path / name).touch()
    assert [path.name for path in pictures_in(tmp_path)] == names


def test_only_pictures_are_taken(tmp_path) -> None:
    for name in ("1.png", "notes.txt", "2.TIF", "clip.mp4", ".DS_Store", "png"):
        (tmp_path / name).touch()
    (tmp_path / "3.png").mkdir()
    assert [path.name for path in pictures_in(tmp_path)] == ["1.png", "2.TIF"]


def test_a_folder_without_pictures_is_named(tmp_path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(StreamError, match=r"\.png"):
        pictures_in(tmp_path)


def folder_of(folder: Path, numbers: list[int], size_hw: tuple[int, int] = (8, 8)) -> Path:
    for number in numbers:
        Image.new("RGB", size_hw[::-1], (number,) * 3).save(folder / f"f{number}.png")
    return folder


def test_a_folder_plays_as_a_clip_whatever_its_numbers(tmp_path) -> None:
    source = Pictures(folder_of(tmp_path, [5, 9, 10, 200]), Fraction(30000, 1001))
    frames = list(source)
    assert source.frames_expected == 4 and source.rate == Fraction(30000, 1001)
    assert [int(frame.planes[0][0, 0]) for frame in frames] == [5, 9, 10, 200]
    moments = [frame.pts * frame.time_base for frame in frames]
    assert moments == [number * Fraction(1001, 30000) for number in range(4)]
    assert not source.is_live and not source.losses
    source.close()
    source.close()


def test_a_broken_picture_in_a_folder_is_left_out_and_said(tmp_path) -> None:
    folder_of(tmp_path, [1, 2, 3])
    (tmp_path / "f2.png").write_bytes(b"")
    source = Pictures(tmp_path, Fraction(30))
    frames = list(source)
    assert [(frame.pts, int(frame.planes[0][0, 0])) for frame in frames] == [(0, 1), (2, 3)]
    assert len(source.losses) == 1 and "f2.png" in source.losses[0]


def test_a_picture_of_another_size_is_scaled_to_the_first_and_said(tmp_path) -> None:
    folder_of(tmp_path, [1, 2])
    folder_of(tmp_path, [3, 4], (20, 30))
    source = Pictures(tmp_path, Fraction(30))
    assert [frame.size_hw for frame in source] == [(8, 8)] * 4
    assert len(source.notes) == 1
