"""What the network may remember of a person: the matte of the frame before, made from a still.

The truth is moved as far as people move between two frames and spoiled as networks spoil it, so
that the network learns to lean on its memory where the picture leaves it in doubt, and nowhere
else: a hand that has left must be gone.
"""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Plane = NDArray[np.uint8]


def previous(mask: Plane, stranger: Plane, rng: Generator) -> Plane:
    """The matte (H, W) of 0–255 that the network could have made one frame before `mask`.

    `stranger` is the mask of another picture: after a cut that nobody noticed, the matte is its.
    """
    kind = rng.random()
    if kind < 0.45:  # a start, a cut, a still picture
        return np.zeros_like(mask)
    if kind < 0.6:
        return softened(stranger, rng)
    matte = moved(mask, rng)
    if rng.random() < 0.5:
        matte = with_hole(matte, rng)
    if rng.random() < 0.5:
        matte = with_ghost(matte, rng)
    return softened(matte, rng)


def moved(mask: Plane, rng: Generator) -> Plane:
    """Shifted, turned and scaled a little: mostly hardly at all, now and then by much."""
    h, w = mask.shape
    speed = rng.choice([0.0, 0.003, 0.01, 0.03])
    turn = cv2.getRotationMatrix2D(
        (w / 2, h / 2), float(rng.normal(0, 100 * speed)), float(np.exp(rng.normal(0, speed)))
    )
    turn[:, 2] += rng.normal(0, speed, 2) * (w, h)
    return np.asarray(cv2.warpAffine(mask, turn, (w, h), borderMode=cv2.BORDER_REPLICATE))


def with_hole(matte: Plane, rng: Generator) -> Plane:
    """A part of the person that was missed."""
    return np.where(_blob(matte.shape, rng), rng.integers(0, 128), matte).astype(np.uint8)


def with_ghost(matte: Plane, rng: Generator) -> Plane:
    """A part of the room that was taken for the person, or a hand that has left since."""
    return np.where(_blob(matte.shape, rng), rng.integers(128, 256), matte).astype(np.uint8)


def softened(matte: Plane, rng: Generator) -> Plane:
    """Unsure along the edge, as the network's own mattes are."""
    sigma = rng.uniform(0.3, 2.5)
    soft = cv2.GaussianBlur(matte, (0, 0), sigma)
    h, w = matte.shape
    doubt = cv2.resize(rng.normal(0, 40, (h // 8, w // 8)).astype(np.float32), (w, h))
    unsure = 4 * (soft / 255) * (1 - soft / 255)  # 1 on the edge, 0 away from it
    return np.clip(soft + doubt * unsure, 0, 255).astype(np.uint8)


def _blob(size_hw: tuple[int, ...], rng: Generator) -> NDArray[np.bool_]:
    h, w = size_hw
    blob = np.zeros((h, w), np.uint8)
    center = (int(rng.integers(w)), int(rng.integers(h)))
    axes = (int(w * rng.uniform(0.02, 0.15)), int(h * rng.uniform(0.02, 0.15)))
    cv2.ellipse(blob, center, axes, float(rng.uniform(0, 180)), 0, 360, 1, cv2.FILLED)
    return blob.astype(bool)
