"""A frame in another format: only where an encoder or a picture file cannot take its own."""

from __future__ import annotations

import cv2
import numpy as np

from stream.av_frames import picture_of, planes_in, reformatted
from stream.frame import ColorTags, Frame, Plane, layout_of


def converted(frame: Frame, format: str, color: ColorTags) -> Frame:
    """The same picture stored as `format` with values that mean the same in `color`.

    The alpha plane never passes through swscale, which turns 255 into 1020 of 1023.
    """
    if frame.format == format and frame.color == color:
        return frame
    wanted = layout_of(format)
    assert wanted is not None
    if wanted.family == frame.layout.family == "yuv" and frame.color == color == _limited(color):
        sizes = wanted.plane_hws(frame.size_hw)[:3]
        planes = [
            _recoded(plane, hw, frame.layout.depth, wanted.depth)
            for plane, hw in zip(frame.planes[:3], sizes, strict=True)
        ]
    else:
        planes = _through_swscale(
            frame, format.replace("yuva", "yuv").replace("gbra", "gbr"), color
        )
    if wanted.has_alpha:
        planes.append(_alpha_plane(frame, wanted.depth))
    return frame.with_planes(tuple(planes), format, color)


def _limited(color: ColorTags) -> ColorTags | None:
    return None if color.full_range else color


def _recoded(plane: Plane, size_hw: tuple[int, int], depth: int, to_depth: int) -> Plane:
    """Limited-range values at another depth are shifted (BT.709 and BT.2020 define them so)."""
    h, w = size_hw
    if plane.shape != size_hw:
        plane = cv2.resize(plane, (w, h), interpolation=cv2.INTER_LINEAR)
    if to_depth > depth:
        return plane.astype(np.uint16) << (to_depth - depth)
    if to_depth == depth:
        return plane
    half, top = 1 << (depth - to_depth - 1), (1 << to_depth) - 1
    reduced = np.minimum((plane.astype(np.uint32) + half) >> (depth - to_depth), top)
    return reduced.astype(np.uint8 if to_depth == 8 else np.uint16)


def _through_swscale(frame: Frame, format: str, color: ColorTags) -> list[Plane]:
    opaque = frame.format.replace("yuva", "yuv").replace("gbra", "gbr")
    count = 1 if opaque.startswith("gray") else 3
    picture = picture_of(frame.with_planes(frame.planes[:count], opaque))
    return list(planes_in(reformatted(picture, format, frame.size_hw, color)))


def _alpha_plane(frame: Frame, depth: int) -> Plane:
    """The alpha plane at another depth; full range, so the largest value stays the largest."""
    top, to_top = ((1 << bits) - 1 for bits in (frame.layout.depth, depth))
    if not frame.layout.has_alpha:
        return np.full(frame.size_hw, to_top, np.uint8 if depth == 8 else np.uint16)
    scaled = np.rint(frame.planes[-1].astype(np.float32) * np.float32(to_top / top))
    return scaled.astype(np.uint8 if depth == 8 else np.uint16)
