"""A frame in another format: only where an encoder or a picture file cannot take its own."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from stream.color import coded_rgb_of, rgb_of, stored_planes
from stream.frame import ColorTags, Frame, Layout, Plane, layout_of


def converted(frame: Frame, format: str, color: ColorTags) -> Frame:
    """The same picture stored as `format` with values that mean the same in `color`.

    swscale is kept out of it: it turns an alpha of 255 into 1020 of 1023, and white into 65 280
    of 65 535.
    """
    if frame.format == format and frame.color == color:
        return frame
    wanted = layout_of(format)
    assert wanted is not None
    planes = _color_planes(frame, wanted, color)
    if wanted.has_alpha:
        planes.append(_alpha_plane(frame, wanted))
    return frame.with_planes(tuple(planes), format, color)


def resized(frame: Frame, size_hw: tuple[int, int]) -> Frame:
    """The frame scaled, its aspect not kept."""
    shrinks = size_hw[0] <= frame.size_hw[0] and size_hw[1] <= frame.size_hw[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    sizes = frame.layout.plane_hws(size_hw)
    return frame.with_planes(
        tuple(
            cv2.resize(plane, (w, h), interpolation=how)
            for plane, (h, w) in zip(frame.planes, sizes, strict=True)
        )
    )


def square_hw(frame: Frame) -> tuple[int, int]:
    """The size at which the frame looks the same with square pixels."""
    h, w = frame.size_hw
    return h, max(1, round(w * frame.pixel_aspect))


def _color_planes(frame: Frame, wanted: Layout, color: ColorTags) -> list[Plane]:
    if frame.layout.family == "gray":
        return _of_gray(frame.planes[0], wanted, color)
    if wanted.family == frame.layout.family == "yuv" and frame.color == color:
        if not color.full_range or wanted.depth == frame.layout.depth:
            sizes = wanted.plane_hws(frame.size_hw)[:3]
            return [
                _recoded(plane, hw, frame.layout.depth, wanted.depth)
                for plane, hw in zip(frame.planes[:3], sizes, strict=True)
            ]
        return list(stored_planes(coded_rgb_of(frame, frame.size_hw), wanted, color))
    return list(stored_planes(rgb_of(frame, frame.size_hw), wanted, color))


def _of_gray(gray: Plane, wanted: Layout, color: ColorTags) -> list[Plane]:
    """Every gray value has one code in each plane: a table of 256 serves."""
    steps = np.linspace(0, 1, 256, dtype=np.float32)[None, :, None]
    one_row = replace(wanted, chroma_shift=(0, 0))
    tables = stored_planes(np.tile(steps, (1, 1, 3)), one_row, color)  # (1, 256) each
    h, w = gray.shape
    return [
        table[0][gray if hw == (h, w) else cv2.resize(gray, hw[::-1], interpolation=cv2.INTER_AREA)]
        for table, hw in zip(tables, wanted.plane_hws((h, w))[:3], strict=True)
    ]


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


def _alpha_plane(frame: Frame, wanted: Layout) -> Plane:
    """The alpha plane at another depth; full range, so the largest value stays the largest."""
    top, to_top = ((1 << layout.depth) - 1 for layout in (frame.layout, wanted))
    if not frame.layout.has_alpha:
        return np.full(frame.size_hw, to_top, wanted.dtype)
    scaled = frame.planes[-1].astype(np.float32) * np.float32(to_top / top)
    return np.rint(scaled).astype(wanted.dtype)
