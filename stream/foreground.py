"""The person's colors near the edge, freed of the old background's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose import alpha_at, in_bytes
from stream.frame import Alpha, Frame, Plane

Clean = Callable[[Frame, Alpha], Frame]

_LINES = 120  # colors are estimated on a picture of so many lines: they vary slowly
_WIDE_PX, _NARROW_PX = 9, 3  # sides of the windows, in that picture's pixels
# Where nothing of a side is near, its color is that of the picture itself, and not black.
_LEAST_WEIGHT = np.float32(1e-3)

_Colors = NDArray[np.float32]  # stored values of one plane


def as_it_came(frame: Frame, alpha: Alpha) -> Frame:
    """The frame itself, where nothing is to be cleaned."""
    return frame


def clean(frame: Frame, alpha: Alpha) -> Frame:
    """The frame with the person's own color where 0 < alpha < 1; all else to the bit as it was.

    A pixel of the edge shows alpha * F + (1 - alpha) * B, with B the old room: composited as it
    is, the room stays there as a rim. F and B are taken from what is person and what is room
    nearby, blurred, in two passes (blur fusion, Forte and Pitié 2021, "Approximate Fast
    Foreground Colour Estimation"), on a small picture. What they leave of a pixel unexplained is
    shared out between them at full size. `alpha` is (H, W) of the frame's size.
    """
    scale = min(1.0, _LINES / min(frame.size_hw))
    small_hw = tuple(max(1, round(side * scale)) for side in frame.size_hw)
    estimate = _Estimate(_sampled(alpha, small_hw))
    edges: dict[tuple[int, ...], tuple[NDArray[np.intp], Alpha]] = {}
    planes: list[Plane] = []
    top = (1 << frame.layout.depth) - 1
    for number, plane in enumerate(frame.planes):
        if plane.shape not in edges:
            edges[plane.shape] = _edge(alpha_at(alpha, plane.shape))
        where, part = edges[plane.shape]
        own = plane.ravel()[where].astype(np.float32)
        person, room = (
            _sampled(_whole(colors, top, plane.dtype), plane.shape).ravel()[where]
            for colors in estimate.of(plane)
        )
        color, _ = _shared_out(own, part, person.astype(np.float32), room.astype(np.float32))
        cleaned = plane.copy()
        cleaned.ravel()[where] = _in_range(color, own, frame, number)
        planes.append(cleaned)
    return frame.with_planes(tuple(planes))


def _whole(colors: _Colors, top: int, dtype: Any) -> Plane:
    """Stored values; an estimate may lie beyond them, and must not begin anew at 0."""
    return np.rint(np.clip(colors, 0, top)).astype(dtype)


def _edge(alpha: Alpha) -> tuple[NDArray[np.intp], Alpha]:
    """Where in the flat plane the alpha is neither 0 nor 1, in 255ths, and what it is there."""
    where = np.flatnonzero(in_bytes(alpha) - np.uint8(1) < 254)  # 0 - 1 is 255
    return where, alpha.ravel()[where]


class _Estimate:
    """Smooth colors of the person and of the room, for a small alpha (h, w)."""

    def __init__(self, alpha: Alpha) -> None:
        self._alpha = alpha
        self._inside, self._outside = _Weighted(alpha), _Weighted(1 - alpha)

    def of(self, plane: Plane) -> tuple[_Colors, _Colors]:
        """(h, w) the person's colors and the room's, of a plane of any size."""
        small = _sampled(plane, self._alpha.shape).astype(np.float32)
        person, room = _shared_out(
            small,
            self._alpha,
            self._inside.mean(small, _WIDE_PX),
            self._outside.mean(small, _WIDE_PX),
        )
        return self._inside.mean(person, _NARROW_PX), self._outside.mean(room, _NARROW_PX)


class _Weighted:
    """Means over windows in which every pixel counts by its weight."""

    def __init__(self, weight: Alpha) -> None:
        self._weight = weight + _LEAST_WEIGHT
        self._norms = {px: cv2.blur(self._weight, (px, px)) for px in (_WIDE_PX, _NARROW_PX)}

    def mean(self, colors: _Colors, side_px: int) -> _Colors:
        """(h, w) the mean around every pixel."""
        return cv2.blur(colors * self._weight, (side_px, side_px)) / self._norms[side_px]


def _shared_out(
    picture: _Colors, alpha: Alpha, person: _Colors, room: _Colors
) -> tuple[_Colors, _Colors]:
    """The colors nearest to `person` and `room` of which alpha mixes exactly the picture."""
    rest = picture - room - alpha * (person - room)
    rest /= alpha * alpha + (1 - alpha) * (1 - alpha)
    return person + alpha * rest, room + (1 - alpha) * rest


def _in_range(color: _Colors, own: _Colors, frame: Frame, number: int) -> _Colors:
    """Whole values that the format calls colors; what was beyond them may stay as far beyond."""
    unit = 1 << (frame.layout.depth - 8)
    low, high = 0, 256 * unit - 1
    if frame.layout.family == "yuv" and not frame.color.full_range:
        low, high = 16 * unit, (240 if number else 235) * unit
    return np.rint(np.clip(color, np.minimum(low, own), np.maximum(high, own)))


def _sampled(plane: NDArray[Any], size_hw: tuple[int, ...]) -> NDArray[Any]:
    """At another size, by points: where alpha and colors are taken at the same points, the
    colors there are mixed by just that alpha; means over areas are not."""
    h, w = size_hw
    return plane if plane.shape == size_hw else cv2.resize(plane, (w, h))
