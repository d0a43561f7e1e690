"""How good a matte is: plain NumPy on one picture's alpha (H, W) against the truth.

Each takes float alphas 0–1. Pixels where `known` is False count for nothing.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.floating]
Mask = NDArray[np.bool_]

BOUNDARY_TOLERANCE = 0.0075  # of the diagonal; the DAVIS benchmark itself allows 0.008
GRADIENT_SIGMA = 1.4  # pixels; what alphamatting.com uses
CONNECTIVITY_STEP = 0.1
CONNECTIVITY_SLACK = 0.15  # a pixel that hangs so little off the body is not counted
SCORES = ("iou", "boundary_f", "mad", "mse", "grad", "conn")


def scores(alpha: Alpha, truth: Alpha, known: Mask | None = None) -> dict[str, float]:
    """All scores of one picture, by name."""
    known = np.ones(truth.shape, bool) if known is None else known
    predicted, wanted = (alpha >= 0.5) & known, (truth >= 0.5) & known
    return {
        "iou": iou(predicted, wanted),
        "boundary_f": boundary_f(predicted, wanted),
        "mad": mad(alpha, truth, known),
        "mse": mse(alpha, truth, known),
        "grad": grad(alpha, truth, known),
        "conn": conn(alpha, truth, known),
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


def grad(alpha: Alpha, truth: Alpha, known: Mask) -> float:
    """Gradient error (Rhemann et al. 2009): how much sharper or softer edges are.

    Both alphas are filtered with the first derivatives of a Gaussian of 1.4 pixels, each kernel of
    unit energy; the squared difference of the gradients' lengths is summed over the picture and
    divided by 1000, as matting papers print it. It grows with the picture's size.
    """
    ours, theirs = (_slope(np.where(known, each, 0)) for each in (alpha, truth))
    return float(np.square(ours - theirs)[known].sum() / 1000)


def conn(alpha: Alpha, truth: Alpha, known: Mask) -> float:
    """Connectivity error (Rhemann et al. 2009, theta 0.15, p 1): what hangs loose.

    A pixel's level is the highest of 0, 0.1 … 1 at which it belongs to the largest 4-connected
    region where both alphas reach that level; how far an alpha lies above the level, from 0.15 on,
    is loose. The differences are summed over the picture and divided by 1000, as matting papers
    print it.
    """
    ours, theirs = (np.where(known, each, 0) for each in (alpha, truth))
    level = np.zeros(truth.shape, np.float32)
    in_body = known.copy()
    for step in range(1, round(1 / CONNECTIVITY_STEP) + 1):
        threshold = np.float32(step * CONNECTIVITY_STEP)
        in_body &= _largest_region((ours >= threshold) & (theirs >= threshold))
        level[in_body] = threshold
    loose_ours, loose_theirs = (
        np.where(each - level >= CONNECTIVITY_SLACK, each - level, 0) for each in (ours, theirs)
    )
    return float(np.abs(loose_ours - loose_theirs)[known].sum() / 1000)


def dtssd(change: Alpha, true_change: Alpha, known: Mask) -> float:
    """Flicker (dtSSD of Erofeev et al. 2015), times 100: how wrongly a matte changes over time.

    From the alpha's and the truth's change since the frame before: the root of the mean squared
    difference of both over the frame's pixels. A clip's score is the mean over its frames but the
    first.
    """
    return (
        100 * float(np.sqrt(np.square(change - true_change)[known].mean())) if known.any() else 0.0
    )


def outline(mask: Mask) -> Mask:
    """Pixels that differ from the one to the right, below, or both (DAVIS's seg2bmap).

    The picture's own border is no outline: a body cut by it has no edge there.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return (here != padded[:-1, 1:]) | (here != padded[1:, :-1]) | (here != padded[1:, 1:])


def _slope(alpha: Alpha) -> Alpha:
    """Length of the gradient, from kernels cut where the Gaussian falls below 1 % (as the
    benchmark's own script does), the border repeated."""
    reach = np.ceil(
        GRADIENT_SIGMA * np.sqrt(-2 * np.log(np.sqrt(2 * np.pi) * GRADIENT_SIGMA * 0.01))
    )
    place = np.arange(-reach, reach + 1)
    bell = np.exp(-np.square(place / GRADIENT_SIGMA) / 2)
    slant = -place * bell
    bell, slant = bell / np.linalg.norm(bell), slant / np.linalg.norm(slant)
    values = alpha.astype(np.float32)
    across = cv2.sepFilter2D(values, -1, slant, bell, borderType=cv2.BORDER_REPLICATE)
    down = cv2.sepFilter2D(values, -1, bell, slant, borderType=cv2.BORDER_REPLICATE)
    return np.hypot(across, down)


def _largest_region(mask: Mask) -> Mask:
    _, regions, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    return regions == 1 + np.argmax(sizes) if sizes.size else np.zeros(mask.shape, bool)


def _widen(edge: Mask, reach: int) -> Mask:
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disk = (x * x + y * y <= reach * reach).astype(np.uint8)
    return cv2.dilate(edge.astype(np.uint8), disk).astype(bool)
