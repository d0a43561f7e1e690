"""Loops: what is compiled computes what is written plainly in NumPy here."""

from __future__ import annotations

import importlib.util
import logging
from types import ModuleType

import cv2
import numba
import numpy as np
import pytest

from stream import loops

# Narrower and wider than the strips that are looked at together, and no multiple of them.
SIZES_HW = [(1, 1), (2, 3), (7, 64), (5, 65), (30, 200)]


def some_alpha(size_hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    """A third each of 0, 1 and what lies between, in runs that are as long as a strip."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-1, 2, (size_hw[0], size_hw[1] // 40 + 1)).astype(np.float32)
    return np.clip(coarse.repeat(40, axis=1)[:, : size_hw[1]], 0, 1).copy()


@pytest.mark.parametrize("size_hw", SIZES_HW)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_blending_is_the_equation_rounded(size_hw, dtype) -> None:
    rng, top = np.random.default_rng(1), np.iinfo(dtype).max
    plane, behind = rng.integers(0, top, (2, *size_hw), dtype, endpoint=True)
    alpha, to = some_alpha(size_hw), np.empty(size_hw, dtype)
    loops.blend(plane, behind, alpha, to)
    exact = alpha.astype(float) * plane + (1 - alpha.astype(float)) * behind
    assert np.abs(to - exact).max() <= 0.51
    assert np.array_equal(to[alpha == 1], plane[alpha == 1])
    assert np.array_equal(to[alpha == 0], behind[alpha == 0])


def mean(weights: np.ndarray, values: np.ndarray, side_px: int) -> np.ndarray:
    box = (side_px, side_px)
    return cv2.blur(values * weights, box) / cv2.blur(weights, box)


def shared_out(picture, alpha, person, room):
    rest = picture - room - alpha * (person - room)
    rest = rest / (alpha * alpha + (1 - alpha) * (1 - alpha))
    return person + alpha * rest, room + (1 - alpha) * rest


@pytest.mark.parametrize("size_hw", [(12, 14), (30, 200), (120, 213)])
@pytest.mark.parametrize("count", [1, 3])
def test_estimates_are_weighted_means_twice(size_hw, count) -> None:
    rng, least = np.random.default_rng(2), np.float32(1e-3)
    alpha = some_alpha(size_hw)
    pictures = rng.uniform(0, 255, (count, *size_hw)).astype(np.float32)
    colors = np.empty((count, 2, *size_hw), np.float32)
    loops.estimate(pictures, alpha, least, colors)
    inside, outside = (side.astype(float) + least for side in (alpha, 1 - alpha))
    for picture, found in zip(pictures.astype(float), colors, strict=True):
        wide = mean(inside, picture, 9), mean(outside, picture, 9)
        person, room = shared_out(picture, alpha, *wide)
        assert np.abs(found[0] - mean(inside, person, 3)).max() <= 0.01
        assert np.abs(found[1] - mean(outside, room, 3)).max() <= 0.01


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 4), (2, 2), (3, 1)])
def test_pictures_smaller_than_the_windows_keep_their_color(size_hw) -> None:
    pictures = np.full((1, *size_hw), 90, np.float32)
    colors = np.empty((1, 2, *size_hw), np.float32)
    loops.estimate(pictures, some_alpha(size_hw), np.float32(1e-3), colors)
    assert np.abs(colors - 90).max() <= 1e-3


@pytest.mark.parametrize("size_hw", [(30, 200), (11, 65)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_persons_own_values_are_what_explains_the_plane(size_hw, dtype) -> None:
    rng, small_hw = np.random.default_rng(3), (5, 20)
    plane = rng.integers(16, 236, size_hw, dtype)
    alpha, freed = some_alpha(size_hw), plane.copy()
    colors = rng.uniform(60, 200, (2, *small_hw)).astype(np.float32)
    axes = [loops.axis(few, many) for few, many in zip(small_hw, size_hw, strict=True)]
    loops.free(freed, alpha, colors, *axes, 16, 235)
    near = [cv2.resize(color, size_hw[::-1]).astype(float) for color in colors]
    exact, _ = shared_out(plane.astype(float), alpha, *near)
    is_edge = (alpha > 0.002) & (alpha < 0.998)
    assert is_edge.sum() > 50
    assert np.abs(freed - np.clip(exact, 16, 235))[is_edge].max() <= 0.51
    assert np.array_equal(freed[~is_edge], plane[~is_edge])


@pytest.mark.parametrize("size_hw", [(9, 40), (30, 200)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_plane_is_weighed_by_maps_of_any_height(size_hw, dtype) -> None:
    rng, (h, w) = np.random.default_rng(5), size_hw
    plane = rng.integers(0, 255, size_hw, dtype)
    gain, rest = (rng.normal(size=(rows, w)).astype(np.float32) for rows in (4, h))
    to = np.empty(size_hw, np.float32)
    loops.weigh(plane, gain, loops.axis(4, h), rest, loops.axis(h, h), -90, 90, to)
    exact = np.clip(plane * cv2.resize(gain, (w, h)) + rest, -90, 90)
    assert to == pytest.approx(exact, abs=1e-3) and to.min() == -90 and to.max() == 90


@pytest.mark.parametrize(("few", "many"), [(1, 1), (1, 9), (5, 30), (7, 1280), (30, 7)])
def test_an_axis_is_that_of_opencv(few, many) -> None:
    values = np.random.default_rng(4).random((few, 1), np.float32)
    before, after, part = loops.axis(few, many)
    ours = values[before, 0] + (values[after, 0] - values[before, 0]) * part
    assert ours == pytest.approx(cv2.resize(values, (1, many))[:, 0], abs=1e-5)


def test_only_what_has_gaps_or_may_not_be_written_to_is_copied() -> None:
    whole = np.zeros((4, 6), np.uint8)
    assert loops.plain(whole) is whole
    fixed = whole.copy()
    fixed.flags.writeable = False
    for each in (fixed, whole[:, ::2], whole[:, :3], whole.T):
        copy = loops.plain(each)
        assert copy.flags.c_contiguous and copy.flags.writeable and copy.shape == each.shape


def imported_anew() -> ModuleType:
    spec = importlib.util.spec_from_file_location("loops_anew", loops.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_was_compiled_before_is_not_compiled_again(caplog) -> None:
    with caplog.at_level(logging.INFO):
        module = imported_anew()
    assert not caplog.records
    assert not module.blend.stats.cache_misses and sum(module.blend.stats.cache_hits.values()) == 2


def test_where_nothing_can_be_kept_it_says_so_and_works(monkeypatch, caplog) -> None:
    real = numba.njit

    def nowhere(*words, cache=False, **more):
        if cache:
            raise RuntimeError("cannot cache function 'blend': no locator available")
        return real(*words, **more)

    monkeypatch.setattr(numba, "njit", nowhere)
    with caplog.at_level(logging.INFO):
        module = imported_anew()
    assert [record.getMessage() for record in caplog.records] == [
        "compiling for this processor takes some seconds; there is no place to keep that for the "
        "next start"
    ]
    planes = [np.full((2, 2), value, np.uint8) for value in (100, 200, 0)]
    module.blend(planes[0], planes[1], np.full((2, 2), 0.5, np.float32), planes[2])
    assert np.all(planes[2] == 150)
