"""What stored values mean: planes to and from RGB, SDR and HDR.

Only small pictures (the network's) and backgrounds pass through here, never the person.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose import sized
from stream.frame import (
    SRGB,
    ColorTags,
    Frame,
    Layout,
    Matrix,
    Plane,
    Primaries,
    Transfer,
)

Rgb = NDArray[np.float32]  # (H, W, 3), R'G'B' 0-1

# Luma weights (Kr, Kb), ITU-T H.273 table 4.
_LUMA_WEIGHTS: dict[int, tuple[float, float]] = {
    Matrix.BT709: (0.2126, 0.0722),
    Matrix.FCC: (0.30, 0.11),
    Matrix.BT470BG: (0.299, 0.114),
    Matrix.SMPTE170M: (0.299, 0.114),
    Matrix.SMPTE240M: (0.212, 0.087),
    Matrix.BT2020_NCL: (0.2627, 0.0593),
}

REFERENCE_WHITE_NITS = 203.0  # ITU-R BT.2408: the level of diffuse white in HDR
_HLG_PEAK_NITS = 1000.0  # BT.2100: nominal display, system gamma 1.2
_HLG_GAMMA = 1.2
_PQ_PEAK_NITS = 10_000.0

# Linear BT.709 to BT.2020 primaries, ITU-R BT.2087-0.
_BT2020_FROM_BT709 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]], np.float32
)
_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)


def assumed_tags(tags: ColorTags, size_hw: tuple[int, int], family: str) -> ColorTags:
    """The same tags with every unspecified one filled in as a player would guess it.

    BT.709 from 720 lines up, else BT.601 (of 525 lines, or 625 from 576 lines up).
    """
    if family == "rgb":
        primaries = _given(tags.primaries) or Primaries.BT709
        return ColorTags(Matrix.RGB, True, primaries, _given(tags.transfer) or Transfer.SRGB)
    h, _ = size_hw
    if h >= 720:
        matrix, primaries, transfer = Matrix.BT709, Primaries.BT709, Transfer.BT709
    elif h == 576:
        matrix, primaries, transfer = Matrix.BT470BG, Primaries.BT470BG, Transfer.SMPTE170M
    else:
        matrix, primaries, transfer = Matrix.SMPTE170M, Primaries.SMPTE170M, Transfer.SMPTE170M
    known = _given(tags.matrix) if tags.matrix != Matrix.RGB else None
    return ColorTags(
        known or matrix,
        tags.full_range,
        _given(tags.primaries) or primaries,
        _given(tags.transfer) or transfer,
    )


def _given(tag: int) -> int | None:
    return None if tag in (0, Matrix.UNSPECIFIED) else tag


def _coding(tags: ColorTags, layout: Layout) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(3, 3) matrix and (3,) offset so that stored = matrix @ R'G'B' + offset, in plane order."""
    top = float((1 << layout.depth) - 1)
    if layout.family == "rgb":
        return np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], np.float32) * top, np.zeros(3, "f4")
    kr, kb = _LUMA_WEIGHTS.get(tags.matrix, _LUMA_WEIGHTS[Matrix.BT709])
    luma = np.array([kr, 1 - kr - kb, kb])
    rows = np.stack(
        [
            luma,
            (np.array([0, 0, 1]) - luma) / (2 - 2 * kb),
            (np.array([1, 0, 0]) - luma) / (2 - 2 * kr),
        ]
    )
    unit = 1 << (layout.depth - 8)
    half = 128.0 * unit
    if tags.full_range:
        return (rows * top).astype("f4"), np.array([0, half, half], "f4")
    scale = np.array([219, 224, 224])[:, None] * unit
    return (rows * scale).astype("f4"), np.array([16 * unit, half, half], "f4")


def rgb_of(frame: Frame, size_hw: tuple[int, int]) -> Rgb:
    """The frame as SDR R'G'B' 0-1, scaled to `size_hw`: what the network and a PNG show.

    HDR is brought to SDR with reference white at 1; brighter is clipped.
    """
    rgb = coded_rgb_of(frame, size_hw)
    if not frame.color.is_hdr:
        return rgb
    return _encoded(_linear(rgb, frame.color), frame.color, SRGB)


def coded_rgb_of(frame: Frame, size_hw: tuple[int, int]) -> Rgb:
    """The frame as R'G'B' 0-1 that mean what its own tags say, scaled to `size_hw`."""
    stored = cv2.merge([sized(plane, size_hw) for plane in frame.planes[:3]]).astype(
        np.float32
    )  # (h, w, 3)
    rgb = cv2.transform(stored, _decoding(frame.color, frame.layout))
    return np.clip(rgb, 0, 1, out=rgb)


@cache
def _decoding(tags: ColorTags, layout: Layout) -> NDArray[np.float32]:
    """(3, 4) matrix from stored values, and 1, to R'G'B'."""
    matrix, offset = _coding(tags, layout)
    inverse = np.linalg.inv(matrix.astype(np.float64))
    shift = -inverse @ offset.astype(np.float64)
    return np.column_stack([inverse, shift]).astype(np.float32)


def planes_of(rgb: Rgb, like: Frame, tags: ColorTags = SRGB) -> tuple[Plane, ...]:
    """R'G'B' 0-1 of the frame's size, stored as the frame's color planes are.

    `tags` says what the R'G'B' values mean. Between SDR clips they are taken over as they are, as
    every player and editor does; into or out of HDR, white goes to and from reference white.
    """
    if like.color.is_hdr != tags.is_hdr or (tags.is_hdr and tags.transfer != like.color.transfer):
        rgb = _encoded(_linear(rgb, tags), tags, like.color)
    return stored_planes(rgb, like.layout, like.color)


def stored_planes(rgb: Rgb, layout: Layout, color: ColorTags) -> tuple[Plane, ...]:
    """R'G'B' 0-1 that mean what `color` says, as the color planes of a layout."""
    matrix, offset = _coding(color, layout)
    stored = cv2.transform(rgb, np.column_stack([matrix, offset]))
    planes = []
    for component, (h, w) in zip(
        cv2.split(stored), layout.plane_hws(rgb.shape[:2])[:3], strict=True
    ):
        if component.shape != (h, w):
            component = cv2.resize(component, (w, h), interpolation=cv2.INTER_AREA)
        top = (1 << layout.depth) - 1
        planes.append(np.clip(np.rint(component), 0, top).astype(layout.dtype))
    return tuple(planes)


def _linear(rgb: Rgb, tags: ColorTags) -> Rgb:
    """Linear light, 1 = diffuse white, from R'G'B'."""
    if tags.transfer == Transfer.PQ:
        return _nits_from_pq(rgb) / REFERENCE_WHITE_NITS
    if tags.transfer == Transfer.HLG:
        scene = _scene_from_hlg(rgb)
        luma = np.maximum(scene @ _BT2020_LUMA, 1e-6)[..., None]
        return scene * luma ** (_HLG_GAMMA - 1) * (_HLG_PEAK_NITS / REFERENCE_WHITE_NITS)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4).astype("f4")


def _encoded(linear: Rgb, tags: ColorTags, target: ColorTags) -> Rgb:
    """R'G'B' as `target` codes it, from linear light in the primaries of `tags`."""
    if target.primaries == Primaries.BT2020 and tags.primaries != Primaries.BT2020:
        linear = cv2.transform(np.ascontiguousarray(linear), _BT2020_FROM_BT709)
    elif target.primaries != Primaries.BT2020 and tags.primaries == Primaries.BT2020:
        linear = cv2.transform(np.ascontiguousarray(linear), np.linalg.inv(_BT2020_FROM_BT709))
    if target.transfer == Transfer.PQ:
        return _pq_from_nits(np.clip(linear, 0, None) * REFERENCE_WHITE_NITS)
    if target.transfer == Transfer.HLG:
        display = np.clip(linear, 0, None) * (REFERENCE_WHITE_NITS / _HLG_PEAK_NITS)
        luma = np.maximum(display @ _BT2020_LUMA, 1e-6)[..., None]
        scene = display * luma ** np.float32((1 - _HLG_GAMMA) / _HLG_GAMMA)
        return _hlg_from_scene(scene.astype(np.float32))
    return _srgb_from_linear(np.clip(linear, 0, 1))


def _srgb_from_linear(linear: Rgb) -> Rgb:
    """IEC 61966-2-1."""
    curve = 1.055 * np.power(linear, 1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, linear * 12.92, curve).astype("f4")


# SMPTE ST 2084 (PQ), as in BT.2100 table 4.
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128


def _pq_from_nits(nits: Rgb) -> Rgb:
    power = np.power(np.clip(nits / _PQ_PEAK_NITS, 0, 1), _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2).astype("f4")


def _nits_from_pq(rgb: Rgb) -> Rgb:
    power = np.power(np.clip(rgb, 0, 1), 1 / _M2)
    base = np.maximum(power - _C1, 0) / (_C2 - _C3 * power)
    return (_PQ_PEAK_NITS * np.power(base, 1 / _M1)).astype("f4")


# ARIB STD-B67 (HLG), as in BT.2100 table 5.
_A = 0.17883277
_B = 1 - 4 * _A
_C = 0.5 - _A * np.log(4 * _A)


def _hlg_from_scene(scene: Rgb) -> Rgb:
    scene = np.clip(scene, 0, 1)
    high = _A * np.log(np.maximum(12 * scene - _B, 1e-6)) + _C
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high).astype("f4")


def _scene_from_hlg(rgb: Rgb) -> Rgb:
    high = (np.exp((rgb - _C) / _A) + _B) / 12
    return np.where(rgb <= 0.5, rgb * rgb / 3, high).astype("f4")
