"""Which of a camera's modes to ask for."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from stream.v4l2 import Mode

# Formats that can be read, the cheapest first; measured at 1280×720: NV12 0.03 ms, YUYV 0.4, RGB
# 0.3 and twice the bytes, JPEG 3 to 5 and a loss of quality.
READABLE = (
    *("NV12", "YU12", "YV12", "NV21", "YUYV", "UYVY", "YVYU", "VYUY"),
    *("RGB3", "BGR3", "MJPG", "JPEG"),
)
USUAL_HW = (720, 1280)
USUAL_FPS = Fraction(30)
_ENOUGH = Fraction(4, 5)  # 25 fps are no reason for a smaller picture than at 30


def ranked(
    modes: Iterable[Mode], size_hw: tuple[int, int] | None, fps: Fraction | None
) -> list[Mode]:
    """The modes in the order in which to try them; with `size_hw` only those of that size.

    A size that is fast enough comes before one that is not, then the one nearest to 1280×720; of
    one size the modes that give the rate (30), the cheapest first, then slower ones, which makes
    JPEG come before raw pictures only where those are slower.
    """
    asked_fps = fps or USUAL_FPS

    def rank(mode: Mode) -> tuple[bool, int, Fraction, int]:
        off_px = sum(abs(a - b) for a, b in zip(mode.size_hw, size_hw or USUAL_HW, strict=True))
        missing_fps = max(Fraction(0), asked_fps - mode.fps)
        is_slow = mode.fps < asked_fps * _ENOUGH
        return is_slow, off_px, missing_fps, READABLE.index(mode.fourcc)

    usable = [mode for mode in modes if mode.fourcc in READABLE]
    return sorted((mode for mode in usable if size_hw in (None, mode.size_hw)), key=rank)


def said(mode: Mode) -> str:
    """A mode as people write it."""
    h, w = mode.size_hw
    return f"{w}×{h} {mode.fourcc} at {float(mode.fps):.4g} fps"
