"""Fit a picture into the network's rectangle by the rule of the app.

The app has its own copy of these lines, because neither room may import the other; a test proves
that both agree.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

PADDING = 127  # the network's zero


def letterbox(picture: NDArray, size_hw: tuple[int, int], *, padding: float = PADDING) -> NDArray:
    """Scale (h, w) or (h, w, C) to fit `size_hw`, aspect kept, centered, the rest padded."""
    top, left, h, w = place(picture.shape[:2], size_hw)
    boxed = np.full((*size_hw, *picture.shape[2:]), padding, picture.dtype)
    shrinks = h * w < picture.shape[0] * picture.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    boxed[top : top + h, left : left + w] = cv2.resize(picture, (w, h), interpolation=how)
    return boxed


def unletterbox(alpha: NDArray, size_hw: tuple[int, int]) -> NDArray:
    """Bring a letterboxed alpha back to the picture's size."""
    top, left, h, w = place(size_hw, alpha.shape)
    inner = np.ascontiguousarray(alpha[top : top + h, left : left + w])
    return cv2.resize(inner, size_hw[::-1], interpolation=cv2.INTER_LINEAR)


def place(picture_hw: tuple[int, ...], size_hw: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Where the picture lies inside: top, left, height, width."""
    scale = min(size_hw[0] / picture_hw[0], size_hw[1] / picture_hw[1])
    h, w = (max(1, round(side * scale)) for side in picture_hw[:2])
    return (size_hw[0] - h) // 2, (size_hw[1] - w) // 2, h, w
