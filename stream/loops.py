"""Loops over pixels in machine code, where OpenCV would pass over each plane many times.

Numba makes the code when this file is first imported, and keeps it beside the file, or in the
user's cache folder where that cannot be written to: only the first start takes seconds. While a
loop runs, other threads do too. Pixels are counted by np.uint64: where a number might be negative,
Numba looks at one pixel after the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from stream.frame import Alpha, Plane

log = logging.getLogger(__name__)
_told: list[str] = []

_Loop = TypeVar("_Loop", bound=Callable[..., Any])
Colors = NDArray[np.float32]  # stored values
_Float = float | np.float32
_Count = int | np.integer[Any]
Axis = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.float32]]
_AXIS = "Tuple((u8[::1], u8[::1], f4[::1]))"

_AXES_KEPT = 64  # a frame has eight; pictures of a folder may each have others

_STRIP = np.uint64(64)  # pixels that are looked at together
_ROOM, _PERSON = np.uint32(0), np.uint32(0x3F800000)  # the bits of 0.0 and of 1.0
# Less than half a 255th of a side is not worth cleaning, and its color is anybody's guess.
_FAINTEST, _PUREST = np.float32(0.5 / 255), np.float32(254.5 / 255)
WIDE_PX, NARROW_PX = 9, 3  # sides of the windows in which colors are estimated
_ONE_PX, _THREE_PX = np.uint64(1), np.uint64(3)
_ONE, _HALF = np.float32(1), np.float32(0.5)


def _compiled(*signatures: str) -> Callable[[_Loop], _Loop]:
    """A decorator: in machine code, for these types; without any, for other loops to call."""
    made = partial(numba.njit, list(signatures) or None, nogil=True, error_model="numpy")

    def decorated(loop: _Loop) -> _Loop:
        try:
            done = made(cache=True)(loop)
        except RuntimeError:  # there is nowhere to keep it
            _tell("; there is no place to keep that for the next start")
            return made()(loop)
        if done.stats.cache_misses:
            _tell(", once")
        return done

    return decorated


def _tell(more: str) -> None:
    if not _told:
        log.info("compiling for this processor takes some seconds%s", more)
        _told.append(more)


def plain(array: NDArray[Any]) -> NDArray[Any]:
    """As the loops take it: rows in order without gaps, writable; copied where it is not so."""
    return np.require(array, requirements=["C", "W"])


@_compiled()
def _all_are(
    bits: NDArray[np.uint32], y: _Count, begin: _Count, end: _Count, wanted: _Count
) -> bool:
    other = np.uint32(0)
    for x in range(begin, end):
        other |= bits[y, x] ^ wanted
    return other == 0


@_compiled(
    *(f"({v}[:, ::1], {v}[:, ::1], f4[:, ::1], {v}[:, ::1])" for v in ("u1", "u2")),
)
def blend(plane: Plane, behind: Plane, alpha: Alpha, to: Plane) -> None:
    """alpha * plane + (1 - alpha) * behind; where alpha is 1 or 0, the bits of the one or other."""
    bits = alpha.view(np.uint32)
    height, width = np.uint64(plane.shape[0]), np.uint64(plane.shape[1])
    for y in range(height):
        for begin in range(np.uint64(0), width, _STRIP):
            end = min(begin + _STRIP, width)
            if _all_are(bits, y, begin, end, _PERSON):
                for x in range(begin, end):
                    to[y, x] = plane[y, x]
            elif _all_are(bits, y, begin, end, _ROOM):
                for x in range(begin, end):
                    to[y, x] = behind[y, x]
            else:
                for x in range(begin, end):
                    far = np.float32(behind[y, x])
                    mixed = far + (np.float32(plane[y, x]) - far) * alpha[y, x]
                    to[y, x] = np.int32(mixed + _HALF)


@lru_cache(_AXES_KEPT)
def axis(few: _Count, many: _Count) -> Axis:
    """Of each of `many` pixels, which of `few` lie before and after it, and how far it is on its
    way from the one to the other; centered, as in cv2.resize."""
    at = np.clip((np.arange(many) + 0.5) * few / many - 0.5, 0, few - 1)
    before = at.astype(np.uint64)
    after = np.minimum(before + np.uint64(1), np.uint64(few - 1))
    return before, after, (at - before).astype(np.float32)


@_compiled(
    *(
        f"({v}[:, ::1], f4[:, ::1], {_AXIS}, f4[:, ::1], {_AXIS}, f4, f4, f4[:, ::1])"
        for v in ("u1", "u2")
    )
)
def weigh(
    plane: Plane,
    gain: Alpha,
    gain_down: Axis,
    rest: Alpha,
    rest_down: Axis,
    low: _Float,
    high: _Float,
    to: Alpha,
) -> None:
    """gain * plane + rest, held between low and high; gain and rest are as wide as the plane, and
    as high by their axes."""
    for y in range(np.uint64(to.shape[0])):
        first, second, gain_part = gain_down[0][y], gain_down[1][y], gain_down[2][y]
        above, below, rest_part = rest_down[0][y], rest_down[1][y], rest_down[2][y]
        for x in range(to.shape[1]):
            by = gain[first, x] + (gain[second, x] - gain[first, x]) * gain_part
            more = rest[above, x] + (rest[below, x] - rest[above, x]) * rest_part
            to[y, x] = min(max(np.float32(plane[y, x]) * by + more, low), high)


@_compiled()
def _mirrored(at: _Count, count: _Count) -> np.uint64:
    while not 0 <= at < count:
        at = 0 if count == 1 else -at if at < 0 else 2 * count - 2 - at
    return np.uint64(at)


@_compiled()
def _sums(values: Alpha, apart: _Count, to: Alpha) -> None:
    """Of each pixel and the eight that lie so far from it to all sides; mirrored beyond the
    borders, as by cv2.blur. Sums of 3 × 3, taken 3 apart, are those of 9 × 9."""
    height, width = np.uint64(values.shape[0]), np.uint64(values.shape[1])
    line = np.empty(width + np.uint64(2) * apart, np.float32)
    for y in range(height):
        above = _mirrored(np.int64(y) - np.int64(apart), values.shape[0])
        below = _mirrored(np.int64(y) + np.int64(apart), values.shape[0])
        for x in range(width):
            line[x + apart] = values[above, x] + values[y, x] + values[below, x]
        for step in range(np.uint64(1), apart + np.uint64(1)):
            left = _mirrored(-np.int64(step), values.shape[1])
            right = _mirrored(np.int64(width + step) - 1, values.shape[1])
            line[apart - step] = line[apart + left]
            line[apart + width - np.uint64(1) + step] = line[apart + right]
        for x in range(width):
            to[y, x] = line[x] + line[x + apart] + line[x + apart + apart]


@_compiled()
def _left_over(picture: _Float, alpha: _Float, person: _Float, room: _Float) -> _Float:
    """What the two colors, mixed by alpha, leave of a picture; shared out by alpha, nothing."""
    unlike = _ONE - alpha
    return (picture - room - alpha * (person - room)) / (alpha * alpha + unlike * unlike)


@_compiled()
def _means(values: Colors, weight: Alpha, norm: Alpha, is_wide: bool, to: Colors) -> None:
    """Of a window around each pixel, where pixels count by their weight; norm: its sums."""
    if is_wide:
        narrow = np.empty_like(to)
        _sums(values * weight, _ONE_PX, narrow)
        _sums(narrow, _THREE_PX, to)
    else:
        _sums(values * weight, _ONE_PX, to)
    for y in range(to.shape[0]):
        for x in range(to.shape[1]):
            to[y, x] /= norm[y, x]


@_compiled()
def _share_out(picture: Colors, alpha: Alpha, colors: Colors) -> None:
    """The nearest colors (2, h, w) of which alpha mixes exactly the picture."""
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            part = alpha[y, x]
            rest = _left_over(picture[y, x], part, colors[0, y, x], colors[1, y, x])
            colors[0, y, x] += part * rest
            colors[1, y, x] += (_ONE - part) * rest


@_compiled("(f4[:, :, ::1], f4[:, ::1], f4, f4[:, :, :, ::1])")
def estimate(
    pictures: Colors,
    alpha: Alpha,
    least: _Float,
    colors: Colors,
) -> None:
    """Smooth colors (n, 2, h, w) of the person and of the room, for n pictures (h, w).

    Means over WIDE_PX, in which a pixel counts by its alpha, or by 1 - alpha, and a little; with
    their share of what they leave unexplained; then means over NARROW_PX.
    """
    weights = np.empty(colors.shape[1:], np.float32)
    weights[0], weights[1] = alpha + least, _ONE - alpha + least
    wide, narrow = np.empty_like(weights), np.empty_like(weights)
    for side in range(2):
        _sums(weights[side], _ONE_PX, narrow[side])
        _sums(narrow[side], _THREE_PX, wide[side])
    for number in range(len(pictures)):
        picture, found = pictures[number], colors[number]
        for side in range(2):
            _means(picture, weights[side], wide[side], True, found[side])
        _share_out(picture, alpha, found)
        for side in range(2):
            _means(found[side], weights[side], narrow[side], False, found[side])


@_compiled()
def _at(colors: Colors, side: _Count, down: Axis, across: Axis, y: _Count, x: _Count) -> _Float:
    """A side's color at a pixel of the frame, between the four that are nearest."""
    top, low, part = down[0][y], down[1][y], down[2][y]
    left, right, share = across[0][x], across[1][x], across[2][x]
    above = colors[side, top, left] + (colors[side, top, right] - colors[side, top, left]) * share
    below = colors[side, low, left] + (colors[side, low, right] - colors[side, low, left]) * share
    return above + (below - above) * part


@_compiled(
    *(f"({v}[:, ::1], f4[:, ::1], f4[:, :, ::1], {_AXIS}, {_AXIS}, f4, f4)" for v in ("u1", "u2"))
)
def free(
    plane: Plane,
    alpha: Alpha,
    colors: Colors,
    down: Axis,
    across: Axis,
    low: _Float,
    high: _Float,
) -> None:
    """In place, the person's own values wherever alpha is neither 0 nor 1.

    `colors` are a plane's of `estimate`, on the plane by `down` and `across`. Results lie between
    low and high, or no farther beyond than the plane's own value.
    """
    bits = alpha.view(np.uint32)
    height, width = np.uint64(plane.shape[0]), np.uint64(plane.shape[1])
    for y in range(height):
        for begin in range(np.uint64(0), width, _STRIP):
            end = min(begin + _STRIP, width)
            if _all_are(bits, y, begin, end, _PERSON) or _all_are(bits, y, begin, end, _ROOM):
                continue
            for x in range(begin, end):
                part = alpha[y, x]
                if _FAINTEST <= part <= _PUREST:
                    person = _at(colors, 0, down, across, y, x)
                    room = _at(colors, 1, down, across, y, x)
                    own = np.float32(plane[y, x])
                    color = person + part * _left_over(own, part, person, room)
                    color = min(max(color, min(low, own)), max(high, own))
                    plane[y, x] = np.int32(color + _HALF)
