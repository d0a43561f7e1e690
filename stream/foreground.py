"""The person's colors near the edge, freed of the old background's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stream import loops
from stream.compose import alpha_at
from stream.frame import Alpha, Frame, Plane

Clean = Callable[[Frame, Alpha], Frame]

_LINES = 120  # colors are estimated on a picture of so many lines: they vary slowly
# Where nothing of a side is near, its color is that of the picture itself, and not black.
_LEAST_WEIGHT = np.float32(1e-3)


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
    small = np.stack([_sampled(plane, small_hw) for plane in frame.planes]).astype(np.float32)
    colors = np.empty((len(small), 2, *small_hw), np.float32)
    part = loops.plain(_sampled(alpha, small_hw))
    loops.estimate(small, part, _LEAST_WEIGHT, colors)
    parts: dict[tuple[int, ...], Alpha] = {}
    planes: list[Plane] = []
    for number, plane in enumerate(frame.planes):
        if plane.shape not in parts:
            parts[plane.shape] = loops.plain(alpha_at(alpha, plane.shape))
        planes.append(np.array(plane, order="C"))
        down, across = (loops.axis(*sides) for sides in zip(small_hw, plane.shape, strict=True))
        ends = _range(frame, number)
        loops.free(planes[-1], parts[plane.shape], colors[number], down, across, *ends)
    return frame.with_planes(tuple(planes))


def _range(frame: Frame, number: int) -> tuple[np.float32, np.float32]:
    """The least and the most of the values that the format calls colors."""
    unit = 1 << (frame.layout.depth - 8)
    if frame.layout.family == "yuv" and not frame.color.full_range:
        return np.float32(16 * unit), np.float32((240 if number else 235) * unit)
    return np.float32(0), np.float32(256 * unit - 1)


def _sampled(plane: NDArray[Any], size_hw: tuple[int, ...]) -> NDArray[Any]:
    """At another size, by points: where alpha and colors are taken at the same points, the
    colors there are mixed by just that alpha; means over areas are not."""
    h, w = size_hw
    return plane if plane.shape == size_hw else cv2.resize(plane, (w, h))
