"""Blur: the room itself as background, blurred as if nobody were there."""

from __future__ import annotations

import math

import cv2
import numpy as np

from stream.compose import composite, sized
from stream.frame import Alpha, Frame, Plane, gray_planes

_HIDING = 4  # how much stronger the room is blurred where nothing better can be shown
_WORK_SIGMA = 4.0  # the blur runs on planes shrunk so far that its sigma is once to twice this
_LEAST = 1e-6  # weight of the room's mean everywhere


class Blur:
    """The room itself, blurred as if the person were not there.

    Blurring the frame would smear the person's colors into a halo around them. Here every blurred
    value is the mean of room pixels alone: blur(plane · w) / blur(w), with w = 0 on and next to
    the person (normalized convolution, Knutsson and Westin 1993).
    """

    blends = True

    def __init__(self, blur_px: float) -> None:
        self.blur_px = blur_px  # the Gaussian's sigma at 720 lines
        self._last: tuple[Frame, Alpha] | None = None
        self._hidden: tuple[Plane, ...] = ()  # the room of the last frame, while it is wanted

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """The person over the blurred room."""
        self._last, self._hidden = (frame, alpha), ()
        return composite(frame, _rooms(frame, alpha, self.blur_px), alpha)

    def alone(self, frame: Frame) -> Frame:
        """The room as it was last seen, beyond recognition; gray before it was seen."""
        if self._last is None or self._last[0].size_hw != frame.size_hw:
            return frame.with_planes(gray_planes(frame))
        if not self._hidden:
            self._hidden = _rooms(*self._last, _HIDING * self.blur_px)
        return frame.with_planes(self._hidden)

    def close(self) -> None:
        """Nothing is held."""


def _rooms(frame: Frame, alpha: Alpha, blur_px: float) -> tuple[Plane, ...]:
    """The room behind the person, blurred, plane by plane; `blur_px` is at 720 lines."""
    sigma_px = blur_px * min(frame.size_hw) / 720
    rooms: dict[tuple[int, ...], _Room] = {}  # planes of all sizes are shrunk to one or two
    behind: list[Plane] = []
    for plane in frame.planes:
        parts = (side / whole for side, whole in zip(plane.shape, alpha.shape, strict=True))
        sigmas_px = [sigma_px * part for part in parts]
        small_hw = tuple(
            -(-side // _shrink(sigma)) for side, sigma in zip(plane.shape, sigmas_px, strict=True)
        )
        if small_hw not in rooms:
            shares = (small / whole for small, whole in zip(small_hw, plane.shape, strict=True))
            sigma_y, sigma_x = (s * part for s, part in zip(sigmas_px, shares, strict=True))
            rooms[small_hw] = _Room(sized(alpha, small_hw), sigma_y, sigma_x)
        behind.append(rooms[small_hw].behind(plane))
    return tuple(behind)


def _shrink(sigma_px: float) -> int:
    """The power of two (halving is quick) by which a plane shrinks before it is blurred."""
    return 1 << max(0, int(math.log2(max(sigma_px / _WORK_SIGMA, 1))))


class _Room:
    """Blurs what is not person, at the size (h, w) of `alpha`; sigmas are in its pixels."""

    def __init__(self, alpha: Alpha, sigma_y: float, sigma_x: float) -> None:
        person = cv2.dilate(alpha, np.ones((3, 3), np.uint8))
        # A pixel with a trace of person spoils the mean more than it helps, and where the frame's
        # edges were cleaned it is none of the room's: it counts where nothing else is near.
        self._weight = np.maximum(np.float32(person == 0), 1e-4 * (1 - person))
        self._sigmas = max(sigma_y, 0.3), max(sigma_x, 0.3)
        self._norm = self._blurred(self._weight) + np.float32(_LEAST)

    def behind(self, plane: Plane) -> Plane:
        """The plane's own room, at the plane's size."""
        small = sized(plane, self._weight.shape).astype(np.float32)
        weighted = small * self._weight
        # Deep inside the person, where nothing of the room is near, its mean fills in.
        total = self._weight.sum()
        anywhere = weighted.sum() / total if total else small.mean()
        room = (self._blurred(weighted) + np.float32(_LEAST * anywhere)) / self._norm
        return sized(np.rint(room).astype(plane.dtype), plane.shape)

    def _blurred(self, values: Alpha) -> Alpha:
        y, x = self._sigmas
        kernel_wh = _kernel_side(x), _kernel_side(y)
        return cv2.GaussianBlur(values, kernel_wh, x, sigmaY=y, borderType=cv2.BORDER_REPLICATE)


def _kernel_side(sigma_px: float) -> int:
    """Three sigmas to each side, where less than 0.3 % of a Gaussian is left."""
    return 2 * math.ceil(3 * sigma_px) + 1
