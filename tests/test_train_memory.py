"""The matte before: near the truth or spoiled, and often not there at all."""

import numpy as np
import pytest

from train.memory import moved, previous, softened, with_ghost, with_hole

MASK = np.zeros((96, 128), np.uint8)
MASK[30:, 40:90] = 255
STRANGER = np.zeros_like(MASK)
STRANGER[50:, 95:125] = 255


def many(make, count: int = 300) -> list[np.ndarray]:
    return [make(MASK, np.random.default_rng(seed)) for seed in range(count)]


def before(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return previous(mask, STRANGER, rng)


def iou(matte: np.ndarray) -> float:
    person = matte > 127
    return float((person & (MASK > 0)).sum() / (person | (MASK > 0)).sum())


def test_nearly_half_of_the_time_there_is_none():
    empty = [not matte.any() for matte in many(before)]
    assert 0.35 < np.mean(empty) < 0.55


def test_now_and_then_it_is_somebody_elses():
    mattes = many(before)
    strange = [matte[80, 110] > 200 and matte[80, 65] < 50 for matte in mattes]
    assert 0.08 < np.mean(strange) < 0.22


def test_it_has_the_size_and_kind_of_the_mask():
    for matte in many(before, 40):
        assert matte.shape == MASK.shape and matte.dtype == np.uint8


def test_mostly_it_is_near_the_truth_and_sometimes_it_is_not():
    overlaps = [iou(matte) for matte in many(before) if matte.any()]
    assert 0.75 < np.median(overlaps) < 0.99
    assert min(overlaps) < 0.3


def test_people_mostly_hold_still():
    shifts = [abs(np.nonzero(m > 127)[1].mean() - np.nonzero(MASK)[1].mean()) for m in many(moved)]
    assert np.median(shifts) < 0.02 * MASK.shape[1] < max(shifts) < 0.15 * MASK.shape[1]


@pytest.mark.parametrize(("spoil", "gain"), [(with_hole, -1), (with_ghost, 1)])
def test_spoiling_only_takes_away_or_only_adds(spoil, gain):
    changes = [gain * (matte.astype(int) - MASK) for matte in many(spoil)]
    assert all(change.min() > -129 for change in changes)
    assert any((change > 100).sum() > 50 for change in changes)
    assert np.mean([change.mean() for change in changes]) > 0


def test_only_the_edge_is_softened():
    mattes = many(softened, 40)
    for matte in mattes:
        assert (matte[60:, 60:70] > 250).all() and (matte[:10] < 5).all()
    assert np.mean([((matte > 20) & (matte < 235)).any() for matte in mattes]) > 0.8


def test_the_same_seed_gives_the_same_matte():
    one, two = (before(MASK, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(one, two)
