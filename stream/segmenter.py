"""Segmenter: a frame in, the network's matte of it out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.color import rgb_of
from stream.frame import Alpha, Frame
from stream.interfaces import Backend
from stream.letterbox import Letterbox

_GLIMPSE_STEP = 4  # every fourth row and column is enough to tell one scene from another
_CUT = 20.0  # mean change of a color, 0-255; people who move reach 10, cuts 30 to 80


class Segmenter:
    """Shows frames to a network; the matte comes back at the network's size, padding removed.

    The network sees its own matte of the frame before as well, which holds edges still; after a
    cut, and where the input changes its shape, it starts anew.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._previous: NDArray[np.float32] | None = None  # (1, H, W, 1)
        self._glimpse: NDArray[np.float32] | None = None  # of the frame it belongs to

    def segment(self, frame: Frame) -> Alpha:
        """The alpha of a frame, (h, w): the frame's shape, as large as it is in the network."""
        shown_hw = display_hw(frame)
        letterbox = Letterbox.fit(shown_hw, self._backend.fit(shown_hw))
        image = letterbox.pad(rgb_of(frame, letterbox.content_hw) * np.float32(255))  # (H, W, 3)
        alpha = self._backend.infer(image[np.newaxis], self._remembered(image))  # (1, H, W, 1)
        self._previous = alpha.copy()
        return letterbox.crop(self._previous[0, :, :, 0])

    def forget(self) -> None:
        """Treat the next frame as the first: it does not follow the last one."""
        self._previous = None

    def _remembered(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The matte before, zeros if there is none that this image follows."""
        before, self._glimpse = self._glimpse, image[::_GLIMPSE_STEP, ::_GLIMPSE_STEP].copy()
        if (
            self._previous is None
            or before is None
            or before.shape != self._glimpse.shape
            or np.abs(self._glimpse - before).mean() > _CUT
        ):
            return np.zeros((1, *image.shape[:2], 1), np.float32)
        return self._previous


def display_hw(frame: Frame) -> tuple[float, float]:
    """Height and width as shown: people look squeezed where pixels are not square."""
    h, w = frame.size_hw
    return float(h), w * float(frame.pixel_aspect)
