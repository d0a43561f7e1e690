"""A picture or frame scaled to cover another frame: aspect kept, centered, the rest cut off.

So do webcams for a size of another shape; bars would look like a fault to whoever is called.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2
from numpy.typing import NDArray

from stream.av_frames import picture_of, planes_in, reformatted
from stream.color import coded_rgb_of, planes_of
from stream.frame import Frame, Plane


def cover_hw(image_hw: tuple[int, int], frame: Frame) -> tuple[int, int]:
    """The size that keeps a picture's aspect as shown and covers the frame with the least."""
    (h, w), (height, width) = image_hw, frame.size_hw
    shown_w = w / float(frame.pixel_aspect)  # the frame's pixels may not be square
    scale = max(height / h, width / shown_w)
    return max(height, round(h * scale)), max(width, round(shown_w * scale))


def cover(image: NDArray[Any], frame: Frame) -> NDArray[Any]:
    """The middle of (h, w, 3) that has the frame's shape, scaled to the frame's size."""
    covering = cover_hw((image.shape[0], image.shape[1]), frame)
    # Cut first, a little wider than needed: a long strip would grow to many times the frame.
    cut = [_middle(*sides) for sides in zip(image.shape, covering, frame.size_hw, strict=False)]
    rows, columns = (part for part, _ in cut)
    h, w = (scaled for _, scaled in cut)
    shrinks = h <= rows.stop - rows.start
    scaled = cv2.resize(
        image[rows, columns], (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    height, width = frame.size_hw
    top, left = (h - height) // 2, (w - width) // 2
    return scaled[top : top + height, left : left + width]


def _middle(side: int, covering: int, wanted: int) -> tuple[slice, int]:
    """The middle of `side` pixels that shows `wanted` of the `covering` ones that it becomes, with
    a pixel to spare at both ends; and how many pixels that middle becomes."""
    part = min(side, -(-wanted * side // covering) + 2)
    part += (side - part) % 2  # so that the center stays where it is
    start = (side - part) // 2
    return slice(start, start + part), max(wanted, round(part * covering / side))


def fitted(shown: Frame, frame: Frame) -> tuple[Plane, ...]:
    """The planes of `shown` in the format of `frame`, scaled to cover it, cropped to its size."""
    if kind_of(shown) == kind_of(frame):
        return shown.planes
    h, w = shown.size_hw
    display_hw = (h, round(w * shown.pixel_aspect))
    if shown.color.is_hdr or frame.color.is_hdr:  # the two mean other light by the same values
        rgb = coded_rgb_of(shown, display_hw)
        return planes_of(cover(rgb, frame), frame, shown.color)
    covering = cover_hw(display_hw, frame)
    timeless = replace(shown, pts=0, time_base=Fraction(1))  # FFmpeg cannot count that finely
    scaled = planes_in(reformatted(picture_of(timeless), frame.format, covering, frame.color))
    return tuple(
        _center_of(plane, hw)
        for plane, hw in zip(scaled, frame.layout.plane_hws(frame.size_hw), strict=True)
    )


def kind_of(frame: Frame) -> tuple[object, ...]:
    """What two frames must have in common for their planes to fit."""
    return (frame.size_hw, frame.format, frame.color, frame.pixel_aspect)


def _center_of(plane: Plane, size_hw: tuple[int, int]) -> Plane:
    top, left = ((have - want) // 2 for have, want in zip(plane.shape, size_hw, strict=True))
    return plane[top : top + size_hw[0], left : left + size_hw[1]]
