"""From the network's small matte to one of the frame's size, along the frame's own edges."""

from __future__ import annotations

import cv2
import numpy as np

from stream.frame import Alpha, Frame, Plane

# A sigmoid never quite says 0 or 1: without firm ends a breath of the old room lies over every
# new one, and the person's own pixels are never quite theirs.
_SURELY_BACKGROUND = 0.1
_SURELY_PERSON = 0.9

_WINDOW_PX = 5  # side of the guided filter's window, in the network's pixels
_FLATNESS = 1e-3  # luma variance (of 0-1) below which a window has no edge to follow


class MatteRefiner:
    """Brings mattes to the frame's size, with the frame's edges and firm ends.

    `grow_px` keeps so much more around the person (negative: less), `feather_px` softens the edge
    over so much outside of the person (negative: inside); both in pixels at 720 lines.
    """

    def __init__(self, grow_px: float = 0.0, feather_px: float = 0.0) -> None:
        self._grow_px, self._feather_px = grow_px, feather_px

    def refine(self, alpha: Alpha, frame: Frame) -> Alpha:
        """(h, w) of any size → (H, W) of the frame's."""
        refined = _along_edges(alpha, frame)
        scale = min(frame.size_hw) / 720
        if self._grow_px:
            refined = grown(refined, self._grow_px * scale)
        if self._feather_px:
            refined = feathered(refined, self._feather_px * scale)
        return refined


def grown(alpha: Alpha, px: float) -> Alpha:
    """The matte with its edge moved outward by `px` pixels (negative: inward)."""
    whole, part = divmod(abs(px), 1)
    near = _moved(alpha, int(whole), outward=px > 0)
    if part == 0:
        return near
    far = _moved(alpha, int(whole) + 1, outward=px > 0)
    return cv2.addWeighted(near, 1 - part, far, part, 0)


def _moved(alpha: Alpha, radius: int, outward: bool) -> Alpha:
    if radius == 0:
        return alpha
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(alpha, disk) if outward else cv2.erode(alpha, disk)


def feathered(alpha: Alpha, px: float) -> Alpha:
    """The matte with an edge that fades over about 2 · `px` outside of it (negative: inside).

    Outside, nothing of the person is lost; inside, nothing of the room is let in.
    """
    soft = cv2.GaussianBlur(
        grown(alpha, px), (0, 0), max(abs(px) / 2, 0.1), borderType=cv2.BORDER_REPLICATE
    )
    return cv2.max(alpha, soft) if px > 0 else cv2.min(alpha, soft)


def _along_edges(alpha: Alpha, frame: Frame) -> Alpha:
    """(h, w) of any size → (H, W) of the frame's: 0 up to 0.1, 1 from 0.9, linear between.

    The fast guided filter (He and Sun 2015, arXiv:1505.00996): in every window of the small
    picture the matte is taken as gain · luma + offset; gain and offset are enlarged, and the
    full-size luma gives the matte its edges.
    """
    span = np.float32(_SURELY_PERSON - _SURELY_BACKGROUND)
    firm = (alpha - np.float32(_SURELY_BACKGROUND)) / span
    h, w = frame.size_hw
    if h <= alpha.shape[0]:
        resized = cv2.resize(firm, (w, h), interpolation=cv2.INTER_AREA)
        return np.clip(resized, 0, 1, out=resized)
    luma = frame.planes[0]  # of RGB, green comes nearest
    top = (1 << frame.layout.depth) - 1
    gain, offset = (
        cv2.resize(values, (w, h), interpolation=cv2.INTER_LINEAR)
        for values in _lines(firm, luma, top)
    )
    refined = cv2.multiply(luma, gain, dst=gain, scale=1 / top, dtype=cv2.CV_32F)
    refined = cv2.add(refined, offset, dst=refined)
    return np.clip(refined, 0, 1, out=refined)


def _lines(firm: Alpha, luma: Plane, top: int) -> tuple[Alpha, Alpha]:
    """(h, w) gain and offset of the line that fits the matte to the luma, window by window."""
    h, w = firm.shape
    guide: Alpha = cv2.resize(luma, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32)
    guide /= np.float32(top)
    mean_guide, mean_matte = _mean(guide), _mean(firm)
    covariance = _mean(guide * firm) - mean_guide * mean_matte
    variance = _mean(guide * guide) - mean_guide * mean_guide
    gain = np.divide(covariance, variance + np.float32(_FLATNESS), dtype=np.float32)
    offset = np.subtract(mean_matte, gain * mean_guide, dtype=np.float32)
    return _mean(gain), _mean(offset)


def _mean(values: Alpha) -> Alpha:
    return cv2.blur(values, (_WINDOW_PX, _WINDOW_PX))
