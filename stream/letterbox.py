"""Fit a picture into the network's rectangle, and bring the alpha back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from stream.frame import Alpha

PADDING = 127.0  # mid-gray: what the network was trained to see beside a picture
STRIDE = 32  # the network halves its input five times


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a picture lies in the network's input: scaled keeping aspect, centered, rest padded."""

    input_hw: tuple[int, int]
    content_hw: tuple[int, int]

    @classmethod
    def fit(
        cls, display_hw: tuple[float, float], input_hw: tuple[int, int], fill: float = 1.0
    ) -> Letterbox:
        """The largest place of the picture's aspect inside `input_hw`, its sides times `fill`."""
        scale = fill * min(input_hw[0] / display_hw[0], input_hw[1] / display_hw[1])
        h, w = (max(1, round(side * scale)) for side in display_hw)
        return cls(input_hw, (h, w))

    @property
    def origin(self) -> tuple[int, int]:
        """Row and column of the picture's first pixel."""
        (height, width), (h, w) = self.input_hw, self.content_hw
        return (height - h) // 2, (width - w) // 2

    def pad(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """(h, w, 3) of content size → (H, W, 3) of input size."""
        if self.content_hw == self.input_hw:
            return image
        padded = np.full((*self.input_hw, 3), PADDING, np.float32)
        (top, left), (h, w) = self.origin, self.content_hw
        padded[top : top + h, left : left + w] = image
        return padded

    def crop(self, alpha: Alpha) -> Alpha:
        """(H, W) of input size → the view (h, w) of the picture in it."""
        (top, left), (h, w) = self.origin, self.content_hw
        return alpha[top : top + h, left : left + w]


def suited_hw(
    display_hw: tuple[float, float], own_hw: tuple[int, int], area: int
) -> tuple[int, int]:
    """The input size that suits a picture: a network whose own size is no multiple of STRIDE
    cannot take another."""
    if own_hw[0] % STRIDE or own_hw[1] % STRIDE:
        return own_hw
    return input_hw_for(display_hw, area)


@cache
def input_hw_for(display_hw: tuple[float, float], area: int) -> tuple[int, int]:
    """The input size of about `area` pixels that shows a picture of this shape the largest.

    Sides are multiples of STRIDE. A 16:9 frame in a square would leave 44 % of the work to the
    padding; here, at most a few rows or columns are lost.
    """
    aspect = display_hw[1] / display_hw[0]
    best, best_used = (STRIDE, STRIDE), 0.0
    for rows in range(1, area // STRIDE**2 + 1):
        for columns in range(1, round(1.06 * area / STRIDE**2 / rows) + 1):
            h, w = rows * STRIDE, columns * STRIDE
            if h * w > 1.06 * area:
                continue
            used = min(h * h * aspect, w * w / aspect)  # pixels the picture covers
            if used > best_used + 0.5:
                best, best_used = (h, w), used
    return best
