"""From the network's small matte to one of the frame's size."""

from __future__ import annotations

import cv2
import numpy as np

from stream.frame import Alpha, Frame


class MatteRefiner:
    """Brings mattes to the frame's size."""

    def refine(self, alpha: Alpha, frame: Frame) -> Alpha:
        """(h, w) of any size → (H, W) of the frame's, 0-1."""
        h, w = frame.size_hw
        if alpha.shape == (h, w):
            return alpha
        grows = h > alpha.shape[0]
        resized = cv2.resize(
            alpha, (w, h), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA
        )
        return np.clip(resized, 0, 1, out=resized)  # cubic overshoots
