"""Metrics against hand-computed cases and slow, plain versions of themselves."""

import math

import numpy as np
import pytest

from train.metrics import BOUNDARY_TOLERANCE, boundary_f, iou, mad, mse, outline, scores


def square(top: int, left: int, side: int, size: int = 40) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_iou_of_shifted_squares():
    assert iou(square(10, 10, 10), square(10, 15, 10)) == pytest.approx(50 / 150)


def test_iou_of_nothing_and_nothing_is_one_and_of_something_and_nothing_zero():
    nothing = np.zeros((8, 8), bool)
    assert iou(nothing, nothing) == 1
    assert iou(square(1, 1, 3, 8), nothing) == 0


def test_outline_is_one_step_wide_and_ignores_the_border():
    half = np.zeros((6, 6), bool)
    half[:, :3] = True
    edge = outline(half)
    assert edge[:, 2].all()
    assert np.count_nonzero(edge) == 6


def slow_boundary_f(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Every outline pixel against every other, by distance."""
    reach = math.ceil(BOUNDARY_TOLERANCE * math.hypot(*truth.shape))
    ours, theirs = np.argwhere(outline(predicted)), np.argwhere(outline(truth))
    apart = np.hypot(*(ours[:, None] - theirs[None]).transpose(2, 0, 1))
    precision, recall = (apart.min(axis) <= reach for axis in (1, 0))
    p, r = precision.mean(), recall.mean()
    return 2 * p * r / (p + r) if p + r else 0.0


@pytest.mark.parametrize("shift", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("size", [40, 160])
def test_boundary_f_agrees_with_all_pairs_of_pixels(shift, size):
    truth = square(10, 10, 15, size)
    predicted = square(10, 10 + shift, 13, size)
    assert boundary_f(predicted, truth) == pytest.approx(slow_boundary_f(predicted, truth))


def test_boundary_f_of_equal_masks_is_one_and_far_masks_zero():
    assert boundary_f(square(5, 5, 9), square(5, 5, 9)) == 1
    assert boundary_f(square(1, 1, 5), square(30, 30, 5)) == 0


def test_boundary_f_without_outlines():
    nothing = np.zeros((40, 40), bool)
    assert boundary_f(nothing, nothing) == 1
    assert boundary_f(nothing, square(5, 5, 9)) == 0


def test_mad_and_mse_by_hand():
    truth, known = np.zeros((2, 2), np.float32), np.ones((2, 2), bool)
    alpha = np.array([[0, 0.5], [1, 0.5]], np.float32)
    assert mad(alpha, truth, known) == pytest.approx(0.5)
    assert mse(alpha, truth, known) == pytest.approx((0.25 + 1 + 0.25) / 4)


def test_unknown_pixels_count_for_nothing():
    truth, known = square(10, 10, 10), np.ones((40, 40), bool)
    alpha = truth.astype(np.float32)
    alpha[30:, :], known[30:, :] = 1, False
    row = scores(alpha, truth.astype(np.float32), known)
    assert row["iou"] == 1
    assert row["mad"] == row["mse"] == 0


def test_a_perfect_matte_has_perfect_scores():
    truth = square(10, 10, 10).astype(np.float32)
    assert scores(truth, truth) == {"iou": 1, "boundary_f": 1, "mad": 0, "mse": 0}
