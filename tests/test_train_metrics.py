"""Metrics against hand-computed cases and slow, plain versions of themselves."""

import math

import numpy as np
import pytest

from train.metrics import (
    BOUNDARY_TOLERANCE,
    boundary_f,
    conn,
    dtssd,
    grad,
    iou,
    mad,
    mse,
    outline,
    scores,
)


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


def blobs(seed: int, size_hw: tuple[int, int] = (24, 31)) -> tuple[np.ndarray, np.ndarray]:
    """An alpha and a truth that resemble each other, in several pieces, soft."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    truth = np.zeros(size_hw)
    for _ in range(3):
        top, left, reach = rng.uniform(0, size_hw[0]), rng.uniform(0, size_hw[1]), rng.uniform(3, 9)
        truth = np.maximum(truth, np.clip(1.5 - np.hypot(y - top, x - left) / reach, 0, 1))
    alpha = np.clip(truth + rng.normal(0, 0.25, size_hw), 0, 1)
    return alpha.astype(np.float32), truth.astype(np.float32)


def slow_grad(alpha: np.ndarray, truth: np.ndarray) -> float:
    """Rhemann's gradient error, kernel and sum written out pixel by pixel."""
    sigma, reach = 1.4, 4  # the bell is below 0.01 from 3.6 pixels on

    def bell(t: float) -> float:
        return math.exp(-(t**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))

    steps = range(-reach, reach + 1)
    kernel = np.array([[bell(dy) * -dx * bell(dx) / sigma**2 for dx in steps] for dy in steps])
    kernel /= math.sqrt((kernel**2).sum())

    def slope(plane: np.ndarray, y: int, x: int) -> float:
        h, w = plane.shape
        across = down = 0.0
        for j, dy in enumerate(steps):
            for i, dx in enumerate(steps):
                value = plane[min(max(y - dy, 0), h - 1), min(max(x - dx, 0), w - 1)]
                across += kernel[j, i] * value
                down += kernel[i, j] * value
        return math.hypot(across, down)

    places = np.ndindex(*truth.shape)
    return sum((slope(alpha, y, x) - slope(truth, y, x)) ** 2 for y, x in places) / 1000


def test_grad_does_not_see_a_constant_difference():
    flat, everywhere = np.zeros((20, 20), np.float32), np.ones((20, 20), bool)
    assert grad(flat + 0.5, flat, everywhere) == pytest.approx(0, abs=1e-9)


def slow_conn(alpha: np.ndarray, truth: np.ndarray) -> float:
    """Rhemann's connectivity error with a flood fill for every threshold."""

    def body(mask: np.ndarray) -> set[tuple[int, int]]:
        left, largest = {(int(y), int(x)) for y, x in np.argwhere(mask)}, set()
        while left:
            waiting, region = [min(left)], set()
            left.remove(waiting[0])
            while waiting:
                y, x = waiting.pop()
                region.add((y, x))
                near = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & left
                left -= near
                waiting += near
            largest = max(largest, region, key=len)
        return largest

    level = {}
    for step in range(1, 11):
        threshold = np.float32(step / 10)
        inside = body((alpha >= threshold) & (truth >= threshold))
        for place in np.ndindex(*truth.shape):
            if place not in level and place not in inside:
                level[place] = (step - 1) / 10

    def hold(value: float, place: tuple[int, ...]) -> float:
        loose = value - level.get(place, 1.0)
        return 1 - (loose if loose >= 0.15 else 0)

    places = np.ndindex(*truth.shape)
    return sum(abs(hold(alpha[p], p) - hold(truth[p], p)) for p in places) / 1000


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("metric", "slow"), [(grad, slow_grad), (conn, slow_conn)])
def test_sums_agree_with_pixel_by_pixel(metric, slow, seed):
    alpha, truth = blobs(seed)
    everywhere = np.ones(truth.shape, bool)
    assert metric(alpha, truth, everywhere) == pytest.approx(slow(alpha, truth), rel=1e-4)


def test_conn_counts_an_island_that_the_truth_lacks_in_full():
    truth = square(5, 5, 20).astype(np.float32)
    alpha = np.maximum(truth, square(32, 32, 4))
    assert conn(alpha, truth, np.ones((40, 40), bool)) == pytest.approx(16 / 1000)


def test_conn_forgives_what_is_attached():
    truth = square(5, 5, 20).astype(np.float32)
    grown = np.maximum(truth, 0.1 * square(5, 25, 10))
    assert conn(grown, truth, np.ones((40, 40), bool)) == 0


def test_dtssd_by_hand():
    change, true_change = np.array([[0.5, 0.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [0.0, -0.5]])
    everywhere = np.ones((2, 2), bool)
    assert dtssd(change, true_change, everywhere) == pytest.approx(100 * math.sqrt(0.5 / 4))
    known = np.array([[True, True], [True, False]])
    assert dtssd(change, true_change, known) == pytest.approx(100 * math.sqrt(0.25 / 3))
    assert dtssd(change, true_change, ~everywhere) == 0


def test_a_matte_that_moves_as_the_truth_does_is_steady():
    change = np.random.default_rng(0).normal(size=(5, 7))
    assert dtssd(change, change, np.ones((5, 7), bool)) == 0


def test_unknown_pixels_count_for_nothing():
    truth, known = square(10, 10, 10), np.ones((40, 40), bool)
    alpha = truth.astype(np.float32)
    alpha[18:, :], known[18:, :] = 1, False
    row = scores(alpha, truth.astype(np.float32), known)
    assert row == {"iou": 1, "boundary_f": 1, "mad": 0, "mse": 0, "grad": 0, "conn": 0}


@pytest.mark.parametrize("metric", [grad, conn, mad, mse])
def test_known_pixels_beside_unknown_ones_are_scored_whatever_is_there(metric):
    alpha, truth = blobs(1)
    known = np.random.default_rng(5).random(truth.shape) < 0.7
    elsewhere = np.where(known, alpha, 1 - alpha)
    assert metric(alpha, truth, known) == metric(elsewhere, truth, known) > 0


def test_a_perfect_matte_has_perfect_scores():
    truth = square(10, 10, 10).astype(np.float32)
    perfect = {"iou": 1, "boundary_f": 1, "mad": 0, "mse": 0, "grad": 0, "conn": 0}
    assert scores(truth, truth) == perfect
