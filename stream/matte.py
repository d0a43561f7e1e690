"""From the network's small matte to one of the frame's size."""

from __future__ import annotations

import cv2
import numpy as np

from stream.frame import Alpha, Frame

# A sigmoid never quite says 0 or 1: without firm ends a breath of the old room lies over every
# new one, and the person's own pixels are never quite theirs.
_SURELY_BACKGROUND = 0.1
_SURELY_PERSON = 0.9


class MatteRefiner:
    """Brings mattes to the frame's size, with firm ends."""

    def refine(self, alpha: Alpha, frame: Frame) -> Alpha:
        """(h, w) of any size → (H, W) of the frame's: 0 up to 0.1, 1 from 0.9, linear between."""
        span = np.float32(_SURELY_PERSON - _SURELY_BACKGROUND)
        firm = (alpha - np.float32(_SURELY_BACKGROUND)) / span
        h, w = frame.size_hw
        grows = h > alpha.shape[0]
        resized = cv2.resize(
            firm, (w, h), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA
        )
        return np.clip(resized, 0, 1, out=resized)
