"""Picture and mask move together, and what disturbs the picture leaves the mask alone."""

import cv2
import numpy as np
import pytest

from train import augment
from train.sample import Example

SIZE = 96
SEEDS = range(12)


@pytest.fixture
def example() -> Example:
    """A picture that is its own mask: a soft white shape, off center, on black."""
    mask = np.zeros((150, 200), np.uint8)
    cv2.ellipse(mask, (70, 90), (50, 30), 30, 0, 360, 255, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 2)
    return Example(np.dstack([mask] * 3), mask, np.full_like(mask, 255))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bend", [augment.crop, augment.rotate])
def test_mask_and_picture_move_together(example, bend, seed):
    rng = np.random.default_rng(seed)
    if bend is augment.crop:
        moved = augment.crop(example, SIZE, rng)
    else:
        moved = augment.rotate(augment.letterboxed(example, SIZE), rng)
    inner = np.pad(moved.weight[1:-1, 1:-1], 1)
    known = cv2.erode(inner, np.ones((3, 3), np.uint8)) > 0  # blending with padding aside
    apart = np.abs(moved.image[..., 0].astype(int) - moved.mask)
    assert moved.image.shape == (SIZE, SIZE, 3)
    assert apart[known].max(initial=0) <= (1 if bend is augment.crop else 130)
    assert np.median(apart[known]) <= 1


def test_flip_mirrors_all_planes_and_twice_is_nothing(example):
    mirrored = augment.flip(example)
    np.testing.assert_array_equal(mirrored.mask, example.mask[:, ::-1])
    for twice, once in zip(augment.flip(mirrored), example, strict=True):
        np.testing.assert_array_equal(twice, once)


def test_outside_the_picture_is_unknown(example):
    for seed in SEEDS:
        cropped = augment.crop(example, SIZE, np.random.default_rng(seed))
        assert not cropped.mask[cropped.weight == 0].any()


def test_letterbox_padding_is_known_background(example):
    boxed = augment.letterboxed(example, SIZE)
    assert boxed.weight.all()
    assert not boxed.mask[0].any()


def test_a_crop_as_large_as_its_target_keeps_every_pixel(example):
    move = np.array([[1.0, 0, -20], [0, 1.0, -30]])
    moved = augment._warp(example, move, SIZE)
    np.testing.assert_array_equal(moved.mask, example.mask[30 : 30 + SIZE, 20 : 20 + SIZE])


DISTURBANCES = [
    augment.color,
    augment.low_light,
    augment.blur,
    augment.motion_blur,
    augment.noise,
    augment.jpeg,
    augment.gray,
]


@pytest.mark.parametrize("disturb", DISTURBANCES)
def test_disturbances_keep_the_shape_and_follow_the_seed(example, disturb):
    for seed in SEEDS:
        once = disturb(example.image, np.random.default_rng(seed))
        again = disturb(example.image, np.random.default_rng(seed))
        assert once.shape == example.image.shape
        assert once.dtype == np.uint8
        np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize("disturb", DISTURBANCES)
def test_disturbances_do_not_shift_the_picture(disturb):
    h = w = 64
    square = np.zeros((h, w, 3), np.uint8)
    square[20:44, 20:44] = 255
    for seed in SEEDS:
        seen = disturb(square, np.random.default_rng(seed)).astype(float).sum(-1)
        seen -= np.median(seen[:10])
        y, x = (np.average(axis, weights=np.clip(seen, 0, None)) for axis in np.mgrid[0:h, 0:w])
        assert abs(y - 31.5) < 0.8
        assert abs(x - 31.5) < 0.8


def test_onto_room_keeps_the_person_and_changes_the_rest(example):
    room = np.full((60, 60, 3), 77, np.uint8)
    moved = augment.onto_room(example, room, np.random.default_rng(0))
    sure, empty = example.mask == 255, example.mask == 0
    np.testing.assert_array_equal(moved.image[sure], example.image[sure])
    assert (moved.image[empty] == 77).all()
    np.testing.assert_array_equal(moved.mask, example.mask)


def test_a_cutout_brings_its_own_mask(example):
    empty = Example(np.full((150, 200, 3), 10, np.uint8), *np.zeros((2, 150, 200), np.uint8))
    cutout = np.full((50, 40, 4), 200, np.uint8)
    cutout[..., 3] = 255
    for seed in SEEDS:
        staged = augment.add_cutout(empty, cutout, np.random.default_rng(seed))
        inside = staged.mask == 255
        assert (staged.image[inside] == 200).all()
        assert (staged.image[staged.mask == 0] == 10).all()
        assert staged.weight[inside].all()


def test_augment_makes_squares_and_follows_the_seed(example):
    for seed in SEEDS:
        once = augment.augment(example, SIZE, np.random.default_rng(seed))
        again = augment.augment(example, SIZE, np.random.default_rng(seed))
        for plane, same in zip(once, again, strict=True):
            assert plane.shape[:2] == (SIZE, SIZE)
            np.testing.assert_array_equal(plane, same)


def test_a_share_of_nothing_is_the_whole_picture_or_its_mirror_image(example):
    boxed = augment.letterboxed(example, SIZE)
    rngs = [np.random.default_rng(seed) for seed in SEEDS]
    images = [augment.augment(example, SIZE, rng, 0.0).image for rng in rngs]
    seen = {image.tobytes() for image in images}
    assert seen == {boxed.image.tobytes(), boxed.image[:, ::-1].tobytes()}


def test_what_lies_over_people_is_not_part_of_them():
    image = np.full((80, 100, 3), 50, np.uint8)
    mask = np.zeros((80, 100), np.uint8)
    mask[20:, 30:70] = 255
    example = Example(image, mask, np.zeros_like(mask))
    thing = np.full((40, 40, 3), 200, np.uint8)
    for seed in range(20):
        covered = augment.occlude(example, thing, np.random.default_rng(seed))
        over = covered.image[..., 0] > 190
        assert over.any() and not covered.mask[over].any()
        assert (covered.weight[over] == 255).all()
        untouched = covered.image[..., 0] == 50
        assert np.array_equal(covered.mask[untouched], mask[untouched])
