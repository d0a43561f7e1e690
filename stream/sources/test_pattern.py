"""A moving test pattern, and frames made ahead that are given as a camera would, to benchmark."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from stream import StreamError
from stream.color import planes_of
from stream.cover import fitted
from stream.frame import Frame, gray_frame
from stream.sources.video_file import VideoFile

_MOST_FRAMES = 60  # two seconds, then back again
_MOST_BYTES = 256_000_000  # of frames held ready: 60 up to 1080p, 20 at 4K
_LEAST_SIDE, _LONGEST_SIDE = 64, 8192
_HAIRS = 160
_NS = 1_000_000_000

_Picture = NDArray[np.uint8]  # (H, W, 3) RGB
_Color = tuple[int, int, int]


class Loop:
    """Frames that were made ahead, to and fro without end, so that each differs from the last.

    With `fps` they come as a camera's do, by the clock; without, as fast as they are taken. Each
    counts as captured when it is given, and iterating goes on where it stopped. Where a camera is
    expected it is one that is never lost.
    """

    is_live = True
    broken = 0

    def __init__(self, frames: Sequence[Frame], fps: float | None = None) -> None:
        self._order = [*frames, *frames[-2:0:-1]]
        self._fps, self._given = fps, 0
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        """Frames until it is closed."""
        start_ns, before = time.monotonic_ns(), self._given
        while True:
            if self._fps is not None:
                due_ns = start_ns + int((self._given - before) * _NS / self._fps)
                self._closed.wait(max(0, due_ns - time.monotonic_ns()) / _NS)
            if self._closed.is_set():
                return
            number, self._given = self._given, self._given + 1
            frame = self._order[number % len(self._order)]
            # What a camera or decoder has just written is in the processor's cache.
            planes = tuple(plane.copy() for plane in frame.planes)
            now_ns = time.monotonic_ns()
            yield replace(frame, planes=planes, pts=number * 1000, captured_ns=now_ns)

    def close(self) -> None:
        """End it, from any thread; safe to call twice."""
        self._closed.set()


def frames_of(clip: str, size_hw: tuple[int, int] | None) -> list[Frame]:
    """The first frames of a clip as a camera would give them, for a Loop.

    Raises StreamError where the clip cannot be read, or has fewer than two.
    """
    source = VideoFile(clip)
    try:
        h, w = (side // 2 * 2 for side in size_hw or source.first.size_hw)
        like, frames = gray_frame((h, w)), list[Frame]()
        for frame in source:
            frames.append(like.with_planes(fitted(frame, like)))
            if len(frames) == _held((h, w)):
                break
    finally:
        source.close()
    if len(frames) < 2:
        raise StreamError(f"cannot measure with {clip}: it is a single picture; give a clip")
    return frames


def _held(size_hw: tuple[int, int]) -> int:
    """How many frames of a size are held ready."""
    return max(2, min(_MOST_FRAMES, _MOST_BYTES // (size_hw[0] * size_hw[1] * 3 // 2)))


def drawn(size_hw: tuple[int, int]) -> list[Frame]:
    """The test pattern: somebody with fine hair who sways before a room, for a Loop.

    Raises StreamError for a size that it cannot have: it is live, so both sides are even.
    """
    if not all(_LEAST_SIDE <= side <= _LONGEST_SIDE and side % 2 == 0 for side in size_hw):
        raise StreamError(
            f"cannot draw a test pattern of {size_hw[1]}x{size_hw[0]}: give even sides from "
            f"{_LEAST_SIDE} to {_LONGEST_SIDE}, such as 1280x720"
        )
    like, room = gray_frame(size_hw), _room(size_hw)
    count = _held(size_hw)
    return [
        like.with_planes(planes_of(_picture(room, sway).astype(np.float32) / np.float32(255), like))
        for sway in np.linspace(-1, 1, count)
    ]


def _picture(room: _Picture, sway: float) -> _Picture:
    """The figure in front of the room; `sway` is -1 (left) to 1."""
    picture = room.copy()
    unit = min(picture.shape[0], picture.shape[1]) / 100
    x, y = picture.shape[1] / 2 + 8 * unit * sway, 42 * unit + (picture.shape[0] - 100 * unit)
    skin: _Color = (224, 172, 140)
    _ellipse(picture, (x, y + 66 * unit), (42 * unit, 40 * unit), (46, 74, 112))  # shoulders
    _ellipse(picture, (x, y + 22 * unit), (8 * unit, 14 * unit), (205, 150, 120))  # neck
    _hair(picture, (x, y), unit, sway)
    _ellipse(picture, (x, y), (14 * unit, 19 * unit), skin)
    for side in (-1, 1):
        eye = (x + 5.5 * side * unit, y - 2 * unit)
        _ellipse(picture, eye, (2.2 * unit, 1.1 * unit), (245, 245, 245))
        _ellipse(picture, eye, (1.0 * unit, 1.0 * unit), (50, 35, 25))
        brow = (x + 5.5 * side * unit, y - 5.5 * unit)
        _ellipse(picture, brow, (3 * unit, 0.6 * unit), (60, 40, 30))
    _ellipse(picture, (x, y + 3.5 * unit), (1.5 * unit, 2.5 * unit), (205, 150, 120))  # nose
    _ellipse(picture, (x, y + 10 * unit), (4 * unit, 1.2 * unit), (170, 80, 80))  # mouth
    return picture


def _hair(picture: _Picture, center: tuple[float, float], unit: float, sway: float) -> None:
    """Hair, and single hairs that stand off from it and swing."""
    x, y = center
    _ellipse(picture, (x, y - 5 * unit), (17 * unit, 19 * unit), (58, 40, 28))
    rng = np.random.default_rng(7)
    for angle, length, bend in rng.uniform((np.pi, 16, -1), (2 * np.pi, 26, 1), (_HAIRS, 3)):
        along = np.linspace(0.6, 1, 6) * length * unit
        angles = angle + np.linspace(0, 0.15, 6) * (bend + sway)
        points = np.stack([x + along * np.cos(angles), y - 5 * unit + along * np.sin(angles)], 1)
        for one, other in pairwise(np.rint(points).astype(int).tolist()):
            cv2.line(picture, one, other, (58, 40, 28), 1, cv2.LINE_AA)


def _ellipse(
    picture: _Picture, center: tuple[float, float], axes: tuple[float, float], color: _Color
) -> None:
    (x, y), (a, b) = center, axes
    whole = (round(x), round(y)), (max(1, round(a)), max(1, round(b)))
    cv2.ellipse(picture, *whole, 0, 0, 360, color, cv2.FILLED, cv2.LINE_AA)


def _room(size_hw: tuple[int, int]) -> _Picture:
    """A wall with a window, shelves and the grain of a camera."""
    h, w = size_hw
    rng = np.random.default_rng(3)
    shade = np.linspace(205, 150, w)[None, :, None] * np.linspace(1, 0.85, h)[:, None, None]
    room = np.ascontiguousarray((shade * [1, 0.98, 0.92]).astype(np.uint8))
    cv2.rectangle(room, (w // 12, h // 8), (w // 4, h // 2), (235, 242, 250), cv2.FILLED)
    for shelf in range(4):
        top, left = h // 8 + shelf * h // 6, round(0.72 * w)
        cv2.rectangle(room, (left, top), (w - w // 30, top + h // 90), (110, 78, 50), cv2.FILLED)
        for book in range(10):
            x = left + book * w // 44
            color = tuple(map(int, rng.integers(40, 220, 3)))
            back = (x, top - round(h / 10 * rng.uniform(0.5, 1)))
            cv2.rectangle(room, back, (x + w // 60, top), color, cv2.FILLED)
    grain = rng.normal(0, 2.5, (h, w, 1))
    return np.clip(room + grain, 0, 255).astype(np.uint8)
