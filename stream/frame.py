"""Frame: one picture as its planes, with its color tags and its time."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.float32]  # (H, W), 0 = background, 1 = person
Plane = NDArray[np.integer[Any]]  # uint8, or uint16 for more than 8 bits


class Matrix(IntEnum):
    """Matrix coefficients, numbered as in ITU-T H.273 (and FFmpeg)."""

    RGB = 0
    BT709 = 1
    UNSPECIFIED = 2
    FCC = 4
    BT470BG = 5
    SMPTE170M = 6
    SMPTE240M = 7
    BT2020_NCL = 9


class Transfer(IntEnum):
    """Transfer characteristics that are treated apart, numbered as in ITU-T H.273."""

    BT709 = 1
    UNSPECIFIED = 2
    SMPTE170M = 6
    SRGB = 13
    PQ = 16
    HLG = 18


class Primaries(IntEnum):
    """Color primaries that are treated apart, numbered as in ITU-T H.273."""

    BT709 = 1
    UNSPECIFIED = 2
    BT470BG = 5
    SMPTE170M = 6
    BT2020 = 9


@dataclass(frozen=True, slots=True)
class ColorTags:
    """How stored values mean colors; every field but the range is an ITU-T H.273 number."""

    matrix: int
    full_range: bool
    primaries: int
    transfer: int

    @property
    def is_hdr(self) -> bool:
        """True for PQ and HLG, where white is not the largest value."""
        return self.transfer in (Transfer.PQ, Transfer.HLG)


SRGB = ColorTags(Matrix.RGB, True, Primaries.BT709, Transfer.SRGB)


@dataclass(frozen=True, slots=True)
class Layout:
    """What FFmpeg's name of a planar format says."""

    family: str  # "yuv", "rgb" or "gray"
    has_alpha: bool
    chroma_shift: tuple[int, int]  # log2 of the chroma planes' (vertical, horizontal) subsampling
    depth: int  # bits per value

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Type of one stored value."""
        return np.uint8 if self.depth == 8 else np.uint16

    def plane_hws(self, size_hw: tuple[int, int]) -> list[tuple[int, int]]:
        """Sizes of all planes of a picture of `size_hw`, the alpha plane last if there is one."""
        h, w = size_hw
        v_shift, h_shift = self.chroma_shift
        chroma_hw = (-(-h >> v_shift), -(-w >> h_shift))
        color = [size_hw] if self.family == "gray" else [size_hw, chroma_hw, chroma_hw]
        return [*color, size_hw] if self.has_alpha else color


_NAME = re.compile(
    r"(?:yuv(?P<alpha>a?)(?P<chroma>410|411|420|422|440|444)p|gbr(?P<rgb_alpha>a?)p|(?P<gray>gray))"
    r"(?:(?P<depth>9|10|12|14|16)le)?"
)
_SHIFTS = {"410": (2, 2), "411": (0, 2), "420": (1, 1), "422": (0, 1), "440": (1, 0), "444": (0, 0)}


@cache  # asked for several times a frame
def layout_of(format: str) -> Layout | None:
    """The layout behind FFmpeg's name of a pixel format; None where it is not one of the house's.

    The house keeps little-endian planar YUV, planar RGB (stored G, B, R) and gray, 8 to 16 bits.
    """
    match = _NAME.fullmatch(format)
    if match is None:
        return None
    family = "gray" if match["gray"] else "yuv" if match["chroma"] else "rgb"
    has_alpha = bool(match["alpha"] or match["rgb_alpha"])
    return Layout(
        family, has_alpha, _SHIFTS.get(match["chroma"] or "444", (0, 0)), int(match["depth"] or 8)
    )


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: arrays have no single truth value
class Frame:
    """One picture: planes as decoded, what their values mean, and when it is shown."""

    planes: tuple[Plane, ...]  # yuv420p: (H, W), then (⌈H/2⌉, ⌈W/2⌉) twice; gbrp: G, B, R
    format: str  # FFmpeg's name of that layout: yuv420p, yuv422p10le, gbrp
    color: ColorTags
    pts: int  # presentation timestamp, counted in time_base
    time_base: Fraction  # seconds per tick
    captured_ns: int  # time.monotonic_ns() when the source received it
    pixel_aspect: Fraction = Fraction(1)  # width / height of one pixel
    duration: int = 0  # ticks that it is shown for; 0: not known
    repeats: bool = False  # the frame before once more, as nothing newer came
    stand_in: str | None = None  # no picture: what to tell instead ("": nothing); None: a picture

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        h, w = self.planes[0].shape
        return h, w

    @property
    def layout(self) -> Layout:
        """The layout behind `format`."""
        layout = layout_of(self.format)
        assert layout is not None, f"a frame of format {self.format} was let in"
        return layout

    def with_planes(
        self, planes: tuple[Plane, ...], format: str | None = None, color: ColorTags | None = None
    ) -> Frame:
        """The same moment with other planes."""
        return replace(self, planes=planes, format=format or self.format, color=color or self.color)


def gray_planes(frame: Frame) -> tuple[Plane, ...]:
    """Neutral gray in the frame's format: half of every range."""
    half = 1 << (frame.layout.depth - 1)
    return tuple(np.full(plane.shape, half, plane.dtype) for plane in frame.planes)


# What programs take a virtual camera's pictures for.
LIVE_COLOR = ColorTags(Matrix.SMPTE170M, False, Primaries.BT709, Transfer.BT709)


def gray_frame(size_hw: tuple[int, int]) -> Frame:
    """What live frames are like: yuv420p, BT.601, limited range, microseconds; gray."""
    layout = layout_of("yuv420p")
    assert layout is not None
    planes = tuple(np.full(hw, 128, np.uint8) for hw in layout.plane_hws(size_hw))
    return Frame(planes, "yuv420p", LIVE_COLOR, 0, Fraction(1, 1_000_000), time.monotonic_ns())
