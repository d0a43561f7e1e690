"""How good a matte is: plain NumPy on one picture's alpha (H, W) against the truth.

Each takes float alphas 0–1. Pixels where `known` is False count for nothing.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.floating]
Mask = NDArray[np.bool_]

BOUNDARY_TOLERANCE = 0.0075  # of the diagonal; the DAVIS benchmark itself allows 0.008
SCORES = ("iou", "boundary_f", "mad", "mse")


def scores(alpha: Alpha, truth: Alpha, known: Mask | None = None) -> dict[str, float]:
    """All scores of one picture, by name."""
    known = np.ones(truth.shape, bool) if known is None else known
    predicted, wanted = (alpha >= 0.5) & known, (truth >= 0.5) & known
    return {
        "iou": iou(predicted, wanted),
        "boundary_f": boundary_f(predicted, wanted),
        "mad": mad(alpha, truth, known),
        "mse": mse(alpha, truth, known),
    }


def iou(predicted: Mask, truth: Mask) -> float:
    """Intersection over union (Jaccard 1901); two empty masks agree: 1."""
    union = np.count_nonzero(predicted | truth)
    return float(np.count_nonzero(predicted & truth) / union) if union else 1.0


def boundary_f(predicted: Mask, truth: Mask) -> float:
    """F-measure of the outlines (Perazzi et al. 2016, "DAVIS", section 4).

    An outline pixel is right when the other outline passes within 0.75 % of the diagonal, rounded
    up to whole pixels. Two masks without an outline agree: 1; one without: 0.
    """
    reach = int(np.ceil(BOUNDARY_TOLERANCE * np.hypot(*truth.shape)))
    ours, theirs = outline(predicted), outline(truth)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    precision = np.count_nonzero(ours & _widen(theirs, reach)) / np.count_nonzero(ours)
    recall = np.count_nonzero(theirs & _widen(ours, reach)) / np.count_nonzero(theirs)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def mad(alpha: Alpha, truth: Alpha, known: Mask) -> float:
    """Mean absolute difference."""
    return float(np.abs(alpha - truth)[known].mean()) if known.any() else 0.0


def mse(alpha: Alpha, truth: Alpha, known: Mask) -> float:
    """Mean squared error (Rhemann et al. 2009, whose benchmark uses it beside the SAD)."""
    return float(np.square(alpha - truth)[known].mean()) if known.any() else 0.0


def outline(mask: Mask) -> Mask:
    """Pixels that differ from the one to the right, below, or both (DAVIS's seg2bmap).

    The picture's own border is no outline: a body cut by it has no edge there.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return (here != padded[:-1, 1:]) | (here != padded[1:, :-1]) | (here != padded[1:, 1:])


def _widen(edge: Mask, reach: int) -> Mask:
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disk = (x * x + y * y <= reach * reach).astype(np.uint8)
    return cv2.dilate(edge.astype(np.uint8), disk).astype(bool)
