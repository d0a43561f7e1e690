"""A discreet card over the picture, which tells why it stands still."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from stream.color import stored_planes
from stream.compose import composite
from stream.frame import Alpha, ColorTags, Frame, Plane, layout_of

_LINES = 24  # so many lines of the card's text would fill the frame
_LEAST_PX = 6.0  # smaller text cannot be read
_WIDEST = 0.9  # of the frame
_BOX_OPACITY, _BOX_GRAY, _TEXT_GRAY = 0.7, 0.1, 0.95
_FINE = 4  # the box is drawn so many times larger: Pillow's corners are jagged
_GRID_PX = 4  # of all layouts 4:1:0 shares its chroma the widest, among 4×4 pixels


def carded(frame: Frame, text: str) -> Frame:
    """The frame with a card in its middle; without text, or too small for it, the frame itself."""
    card = _card(text, frame.size_hw) if text else None
    if card is None:
        return frame
    _, alpha = card
    planes = tuple(plane.copy() for plane in frame.planes)
    patches = tuple(_middle(plane, frame.size_hw, alpha.shape) for plane in planes)
    over = frame.with_planes(_stored(text, frame.size_hw, frame.format, frame.color))
    for patch, blended in zip(patches, composite(over, patches, alpha).planes, strict=True):
        np.copyto(patch, blended)
    return frame.with_planes(planes)


def _middle(plane: Plane, size_hw: tuple[int, int], card_hw: tuple[int, ...]) -> Plane:
    """The part of a plane, as a view, that the card covers."""
    parts = []
    for have, whole, side in zip(plane.shape, size_hw, card_hw, strict=True):
        step = -(-whole // have)  # pixels to one value of this plane: 1, 2 or 4
        start = (whole - side) // 2 // _GRID_PX * _GRID_PX
        parts.append(slice(start // step, (start + side) // step))
    return plane[parts[0], parts[1]]


@lru_cache(maxsize=8)
def _card(text: str, size_hw: tuple[int, int]) -> tuple[NDArray[np.float32], Alpha] | None:
    """Gray values 0-1 and opacity of a card for a frame of this size; None where it has no room."""
    text_px = min(size_hw) / _LINES
    if text_px < _LEAST_PX:
        return None
    text_px *= min(1.0, (_WIDEST * size_hw[1] - _GRID_PX) / _box_hw(text, text_px)[1])  # long texts
    if text_px < _LEAST_PX:
        return None
    box_hw = _box_hw(text, text_px)
    h, w = box_hw
    box = Image.new("L", (w * _FINE, h * _FINE))
    ImageDraw.Draw(box).rounded_rectangle(
        (0, 0, w * _FINE - 1, h * _FINE - 1), radius=0.3 * h * _FINE, fill=255
    )
    letters = Image.new("L", (w, h))
    font = ImageFont.load_default(text_px)
    # From the middle of the lower-case letters, so that p and y do not push the line up.
    ImageDraw.Draw(letters).text((w / 2, h / 2 + 0.35 * text_px), text, 255, font, anchor="ms")
    shade, ink = _unit(box.reduce(_FINE)), _unit(letters)
    alpha = ink + (1 - ink) * shade * _BOX_OPACITY
    share = ink / np.maximum(alpha, 1e-6)  # of ink in what is seen, as alpha is straight
    gray = _BOX_GRAY + (_TEXT_GRAY - _BOX_GRAY) * share
    return gray.astype(np.float32), alpha.astype(np.float32)


def _unit(drawn: Image.Image) -> NDArray[np.float64]:
    return np.asarray(drawn, np.float64) / 255


def _box_hw(text: str, text_px: float) -> tuple[int, int]:
    """Sides that are whole numbers of the grid, with room around the text."""
    text_w = ImageFont.load_default(text_px).getlength(text)
    h, w = 2.1 * text_px, text_w + 2 * text_px
    return round(h / _GRID_PX) * _GRID_PX, -(-round(w) // _GRID_PX) * _GRID_PX


@lru_cache(maxsize=8)
def _stored(
    text: str, size_hw: tuple[int, int], format: str, color: ColorTags
) -> tuple[Plane, ...]:
    """The card's own values, stored as the frame's planes are."""
    card, layout = _card(text, size_hw), layout_of(format)
    assert card is not None and layout is not None
    gray, top = card[0], (1 << layout.depth) - 1
    if layout.family == "gray":
        return (np.rint(gray * top).astype(layout.dtype),)
    planes = stored_planes(np.dstack([gray] * 3), layout, color)
    # What lies over a transparent frame makes it less so: in its alpha plane the card is solid.
    return (*planes, np.full(gray.shape, top, layout.dtype)) if layout.has_alpha else planes
