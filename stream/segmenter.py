"""Segmenter: a frame in, the network's matte of it out."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from stream import StreamError
from stream.color import rgb_of
from stream.frame import Alpha, Frame
from stream.interfaces import Backend
from stream.letterbox import Letterbox

log = logging.getLogger(__name__)

_GLIMPSE_STEP = 4  # every fourth row and column is enough to tell one scene from another
_CUT = 20.0  # mean change of a color, 0-255; people who move reach 10, cuts 30 to 80


class Segmenter:
    """Shows frames to a network; the matte comes back at the network's size, padding removed.

    The network sees its own matte of the frame before as well, which holds edges still; after a
    cut, and where the input changes its shape, it starts anew; `starts_anew` tells whether it did
    so at the last frame.
    """

    starts_anew = True

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._previous: NDArray[np.float32] | None = None  # (1, H, W, 1)
        self._glimpse: NDArray[np.float32] | None = None  # of the frame it belongs to

    def segment(self, frame: Frame) -> Alpha | None:
        """The alpha of a frame, (h, w): the frame's shape, as large as it is in the network.

        None for a stand-in. Raises StreamError where the network's answer is no number.
        """
        if frame.stand_in is not None:
            self.forget()
            return None
        return self._look(frame)

    def forget(self) -> None:
        """Treat the next frame as the first: it does not follow the last one."""
        self._previous = None

    def _look(self, frame: Frame, fill: float = 1.0) -> Alpha:
        """The alpha of a frame shown so large that it takes `fill` of the input's sides."""
        shown_hw = display_hw(frame)
        letterbox = Letterbox.fit(shown_hw, self._backend.fit(shown_hw), fill)
        image = letterbox.pad(rgb_of(frame, letterbox.content_hw) * np.float32(255))  # (H, W, 3)
        alpha = self._backend.infer(image[np.newaxis], self._remembered(image))  # (1, H, W, 1)
        if not np.isfinite(alpha).all():
            self.forget()
            raise StreamError("the network answers what is no number: try another --network")
        self._previous = alpha.copy()
        return letterbox.crop(self._previous[0, :, :, 0])

    def _remembered(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The matte before, zeros if there is none that this image follows."""
        before, self._glimpse = self._glimpse, image[::_GLIMPSE_STEP, ::_GLIMPSE_STEP].copy()
        if (
            self._previous is None
            or before is None
            or before.shape != self._glimpse.shape
            or np.abs(self._glimpse - before).mean() > _CUT
        ):
            self.starts_anew = True
            return np.zeros((1, *image.shape[:2], 1), np.float32)
        self.starts_anew = False
        return self._previous


class CautiousSegmenter(Segmenter):
    """For live calls: None as well where the engine fails and at the first frame of anything.

    What is shown there is the background alone. The frame after a cut, a start or a lost camera
    follows nothing that would steady its matte, and cameras begin with half-made pictures.
    `failure` says why the engine failed, None while it does not.
    """

    failure: str | None = None
    _told: str | None = None

    def segment(self, frame: Frame) -> Alpha | None:
        """As Segmenter.segment(); whatever the engine raises is told once, and survived."""
        try:
            alpha = super().segment(frame)
        except Exception as error:  # engines raise what they like, and a call must go on
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            self.failure = lines[-1] if lines else type(error).__name__
            if self.failure != self._told:
                log.error("the background alone is shown: %s", self.failure)
                self._told = self.failure
            self.forget()
            return None
        self.failure = None
        return None if self.starts_anew else alpha


def display_hw(frame: Frame) -> tuple[float, float]:
    """Height and width as shown: people look squeezed where pixels are not square."""
    h, w = frame.size_hw
    return float(h), w * float(frame.pixel_aspect)
