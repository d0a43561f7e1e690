"""What the network is punished for: one term a function, each for alphas of (N, H, W, 1).

The truth carries two channels: the alpha, and how much each pixel counts (0 where the truth is
unknown: crowds, padding). All terms are averages, 0 for a perfect prediction of a hard mask.
"""

from typing import TypeAlias

import keras
from keras import ops

EDGE_WEIGHT = 4.0  # a pixel on the outline counts up to five times one deep inside
EDGE_WINDOW = (
    7  # pixels; the outline's share of a picture is small, its share of what users see large
)
TINY = 1e-6

Tensor: TypeAlias = keras.KerasTensor


def matte_loss(truth: Tensor, alpha: Tensor) -> Tensor:
    """Sum the terms; `truth` is (N, H, W, 2): alpha and weight. Returns one number a picture."""
    mask, weight = truth[..., :1], truth[..., 1:]
    alpha = ops.cast(alpha, "float32")
    return cross_entropy(mask, alpha, weight * edge_weights(mask)) + dice(mask, alpha, weight)


def cross_entropy(mask: Tensor, alpha: Tensor, weight: Tensor) -> Tensor:
    """Weighted binary cross-entropy, averaged over each picture."""
    alpha = ops.clip(alpha, TINY, 1 - TINY)
    entropy = -(mask * ops.log(alpha) + (1 - mask) * ops.log(1 - alpha))
    return _total(entropy * weight) / (_total(weight) + TINY)


def dice(mask: Tensor, alpha: Tensor, weight: Tensor) -> Tensor:
    """Soft Dice distance (Milletari et al. 2016), which a small person cannot drown in.

    One per cent of the picture is added above and below, so that an empty mask has a slope too.
    """
    smooth = 0.01 * _total(weight) + TINY
    overlap = _total(mask * alpha * weight)
    total = _total((mask * mask + alpha * alpha) * weight)
    return 1 - (2 * overlap + smooth) / (total + smooth)


def edge_weights(mask: Tensor) -> Tensor:
    """1 away from the outline, rising to 1 + EDGE_WEIGHT on it."""
    around = ops.average_pool(mask, EDGE_WINDOW, strides=1, padding="same")
    # On a straight edge half the window differs: times two makes that difference 1.
    return 1 + EDGE_WEIGHT * ops.minimum(2 * ops.abs(around - mask), 1)


def _total(x: Tensor) -> Tensor:
    return ops.sum(x, axis=(1, 2, 3))
