"""Segmenter: a frame in, the network's matte of it out."""

from __future__ import annotations

import numpy as np

from stream.color import rgb_of
from stream.frame import Alpha, Frame
from stream.interfaces import Backend
from stream.letterbox import Letterbox


class Segmenter:
    """Shows frames to a network; the matte comes back at the network's size, padding removed."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def segment(self, frame: Frame) -> Alpha:
        """The alpha of a frame, (h, w): the frame's shape, as large as it is in the network."""
        shown_hw = display_hw(frame)
        letterbox = Letterbox.fit(shown_hw, self._backend.fit(shown_hw))
        image = letterbox.pad(rgb_of(frame, letterbox.content_hw) * np.float32(255))  # (H, W, 3)
        alpha = self._backend.infer(image[np.newaxis])  # (1, H, W, 1)
        return letterbox.crop(alpha[0, :, :, 0])


def display_hw(frame: Frame) -> tuple[float, float]:
    """Height and width as shown: people look squeezed where pixels are not square."""
    h, w = frame.size_hw
    return float(h), w * float(frame.pixel_aspect)
