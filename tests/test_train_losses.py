"""Losses against hand-computed cases."""

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="requirements-train.txt is not installed")

from keras import ops

from train.losses import EDGE_WEIGHT, cross_entropy, dice, edge_weights, matte_loss


def plane(rows) -> np.ndarray:
    return np.array(rows, np.float32)[None, ..., None]


def disk(size: int = 32) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size]
    return plane(np.hypot(y - 14, x - 17) < 9)


def truth(mask: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    return np.concatenate([mask, np.ones_like(mask) if weight is None else weight], axis=-1)


@pytest.mark.parametrize("mask", [disk(), np.zeros_like(disk()), np.ones_like(disk())])
def test_a_perfect_prediction_costs_nothing(mask):
    assert float(matte_loss(truth(mask), mask)[0]) == pytest.approx(0, abs=1e-5)


def test_a_wrong_prediction_costs_more_than_an_unsure_one():
    mask = disk()
    unsure = float(matte_loss(truth(mask), np.full_like(mask, 0.5))[0])
    wrong = float(matte_loss(truth(mask), 1 - mask)[0])
    assert 0 < unsure < wrong


def test_cross_entropy_by_hand():
    mask, alpha = plane([[1, 0]]), plane([[0.25, 0.5]])
    weight = plane([[3, 1]])
    wanted = (3 * -np.log(0.25) + 1 * -np.log(0.5)) / 4
    assert float(cross_entropy(mask, alpha, weight)[0]) == pytest.approx(wanted, rel=1e-5)


def test_dice_by_hand():
    mask, alpha, weight = plane([[1, 1, 0, 0]]), plane([[1, 0.5, 0.5, 0]]), np.ones((1, 1, 4, 1))
    smooth = 0.01 * 4
    wanted = 1 - (2 * 1.5 + smooth) / (2 + 1.5 + smooth)
    assert float(dice(mask, alpha, weight)[0]) == pytest.approx(wanted, abs=1e-5)


def test_unknown_pixels_cost_nothing():
    mask, weight = disk(), np.ones_like(disk())
    weight[:, :10] = 0
    alpha = mask.copy()
    alpha[:, :10] = 1 - alpha[:, :10]
    assert float(matte_loss(truth(mask, weight), alpha)[0]) == pytest.approx(0, abs=1e-5)


def test_a_picture_without_any_truth_costs_nothing_and_is_finite():
    mask = disk()
    loss = float(matte_loss(truth(mask, np.zeros_like(mask)), 1 - mask)[0])
    assert loss == pytest.approx(0, abs=1e-5)


def test_edges_weigh_more():
    half = np.zeros((1, 20, 20, 1), np.float32)
    half[:, :, 10:] = 1
    weights = ops.convert_to_numpy(edge_weights(half))[0, 10, :, 0]
    assert weights[2] == weights[17] == 1
    # Beside the edge, 3 of the window's 7 columns differ: 2 · 3/7 of the extra weight.
    assert weights[9] == pytest.approx(1 + EDGE_WEIGHT * 6 / 7, rel=1e-5)
    assert weights[10] == pytest.approx(weights[9], rel=1e-5)


def test_one_number_a_picture():
    mask = np.concatenate([disk(), 1 - disk()])
    assert matte_loss(truth(mask), mask).shape == (2,)
