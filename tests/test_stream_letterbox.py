"""Letterbox: a picture goes into the network's rectangle and comes back to the same pixel."""

from __future__ import annotations

import numpy as np
import pytest

from stream.letterbox import PADDING, STRIDE, Letterbox, input_hw_for

ASPECTS = [1 / 8, 1 / 5, 9 / 21, 9 / 16, 2 / 3, 3 / 4, 0.99, 1, 4 / 3, 16 / 9, 21 / 9, 5, 8]
DISPLAYS = [(720.0, 720.0 * aspect) for aspect in ASPECTS] + [
    (1, 1),
    (1, 8),
    (37, 23),
    (4320, 7680),
]
INPUTS_HW = [(256, 256), (192, 352), (352, 192), (64, 64), (50, 30)]
AREAS = [64 * 64, 256 * 256, 192 * 352]


@pytest.mark.parametrize("input_hw", INPUTS_HW)
@pytest.mark.parametrize("display_hw", DISPLAYS)
def test_the_picture_is_as_large_as_fits_and_keeps_its_aspect(display_hw, input_hw) -> None:
    h, w = Letterbox.fit(display_hw, input_hw).content_hw
    assert 1 <= h <= input_hw[0] and 1 <= w <= input_hw[1]
    assert h == input_hw[0] or w == input_hw[1]
    scale = min(input_hw[0] / display_hw[0], input_hw[1] / display_hw[1])
    assert abs(h - max(1, display_hw[0] * scale)) <= 0.5 + 1e-9
    assert abs(w - max(1, display_hw[1] * scale)) <= 0.5 + 1e-9


@pytest.mark.parametrize("input_hw", INPUTS_HW)
@pytest.mark.parametrize("display_hw", DISPLAYS)
def test_letterbox_and_back_lands_on_the_same_pixel(display_hw, input_hw) -> None:
    letterbox = Letterbox.fit(display_hw, input_hw)
    h, w = letterbox.content_hw
    image = np.arange(h * w * 3, dtype=np.float32).reshape(h, w, 3)
    padded = letterbox.pad(image)
    assert padded.shape == (*input_hw, 3) and padded.dtype == np.float32
    assert np.array_equal(letterbox.crop(padded[..., 1]), image[..., 1])


@pytest.mark.parametrize("display_hw", DISPLAYS)
def test_the_rest_is_mid_gray_and_even_on_both_sides(display_hw) -> None:
    letterbox = Letterbox.fit(display_hw, (96, 160))
    padded = letterbox.pad(np.full((*letterbox.content_hw, 3), 1000, np.float32))
    rows, columns = (np.flatnonzero((padded[..., 0] == 1000).any(axis)) for axis in (1, 0))
    for inside, length in ((rows, 96), (columns, 160)):
        before, after = inside[0], length - 1 - inside[-1]
        assert after - before in (0, 1)
    outside = padded[padded != 1000]
    assert np.all(outside == PADDING) and abs(PADDING - 127.5) <= 0.5
    assert outside.size == 3 * (96 * 160 - np.prod(letterbox.content_hw))


def test_nothing_is_copied_where_nothing_is_padded() -> None:
    letterbox, image = Letterbox.fit((90, 160), (36, 64)), np.zeros((36, 64, 3), np.float32)
    assert letterbox.pad(image) is image
    alpha = np.zeros((36, 64), np.float32)
    assert np.shares_memory(letterbox.crop(alpha), alpha)


def shown(display_hw: tuple[float, float], input_hw: tuple[int, int]) -> float:
    """Pixels of the input that the picture covers."""
    scale = min(input_hw[0] / display_hw[0], input_hw[1] / display_hw[1])
    return display_hw[0] * display_hw[1] * scale**2


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("display_hw", DISPLAYS)
def test_the_input_is_a_multiple_of_the_stride_and_of_about_the_area(display_hw, area) -> None:
    h, w = input_hw_for(display_hw, area)
    assert h % STRIDE == w % STRIDE == 0 and min(h, w) >= STRIDE
    assert h * w <= 1.06 * area


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("display_hw", DISPLAYS)
def test_no_other_input_shows_the_picture_larger(display_hw, area) -> None:
    most = int(1.06 * area / STRIDE**2)
    sizes = [
        (rows * STRIDE, columns * STRIDE)
        for rows in range(1, most + 1)
        for columns in range(1, most // rows + 1)
    ]
    best = max(shown(display_hw, size) for size in sizes)
    chosen = input_hw_for(display_hw, area)
    assert shown(display_hw, chosen) >= best - 1
    as_good = [h * w for h, w in sizes if shown(display_hw, (h, w)) >= best - 1e-6]
    assert np.prod(chosen) == min(as_good), "rows or columns that show nothing more"


@pytest.mark.parametrize("aspect", ASPECTS)
def test_little_work_goes_into_padding(aspect) -> None:
    h, w = input_hw_for((720.0, 720.0 * aspect), 256 * 256)
    assert shown((720.0, 720.0 * aspect), (h, w)) / (h * w) >= 0.8
    assert h * w >= 0.75 * 256 * 256


@pytest.mark.parametrize("aspect", ASPECTS)
def test_the_choice_depends_on_the_shape_alone(aspect) -> None:
    choices = {input_hw_for((lines, lines * aspect), 256 * 256) for lines in (64.0, 720.0, 4320.0)}
    assert len(choices) == 1
