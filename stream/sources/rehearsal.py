"""Rehearsal: a clip or a stream in place of the camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from stream.convert import square_hw
from stream.cover import fitted
from stream.frame import Frame, gray_frame
from stream.sources.camera import SourceLost
from stream.sources.video_file import VideoFile

_LATE_NS = 500_000_000  # what is later than that is not caught up with


class Rehearsal:
    """Plays a clip as a camera would: by its own times, over and over, in a camera's format.

    A URL that has no end (a network camera) sets the pace itself, and is lost when it ends. With
    `size_hw` the picture covers that size, with `fps` a faster clip is thinned out.
    """

    is_live = True

    def __init__(self, path: str, size_hw: tuple[int, int] | None, fps: Fraction | None) -> None:
        """Raises StreamError where there is nothing to play."""
        self.broken, self.notes = 0, list[str]()
        self._path = path
        self._clip = VideoFile(path)
        self._is_endless = "://" in path and self._clip.frames_expected is None
        h, w = (side // 2 * 2 for side in size_hw or square_hw(self._clip.first))
        self.size_hw = (h, w)
        self.rate = min(self._clip.rate, fps or self._clip.rate)
        self.name = path
        self.granted = f"{w}×{h} at {float(self.rate):.4g} fps"
        self._like = gray_frame(self.size_hw)
        self._closed = threading.Event()
        self._is_playing = False

    def __iter__(self) -> Iterator[Frame]:
        """Frames until it is closed. Raises SourceLost where the stream ends by itself."""
        self._is_playing = True
        start_ns = time.monotonic_ns()
        try:
            for moment_ns, shown in self._thinned():
                late_ns = time.monotonic_ns() - start_ns - moment_ns
                if self._is_endless or late_ns > _LATE_NS:
                    start_ns += late_ns
                elif late_ns < 0:
                    self._closed.wait(-late_ns / 1e9)
                if self._closed.is_set():
                    return
                yield self._frame(shown)
        finally:
            self._clip.close()
            self._is_playing = False

    def close(self) -> None:
        """End it; safe to call twice, also while another thread plays: that closes the clip."""
        self._closed.set()
        if not self._is_playing:
            self._clip.close()

    def _thinned(self) -> Iterator[tuple[int, Frame]]:
        """(nanoseconds since the start, frame), no more of them than `rate` allows."""
        due = Fraction(0)
        for moment, shown in self._moments():
            if moment + 1 / self._clip.rate / 2 > due:
                due = max(due + 1 / self.rate, moment)
                yield int(moment * 1_000_000_000), shown

    def _moments(self) -> Iterator[tuple[Fraction, Frame]]:
        """(seconds since the start, frame), again and again."""
        began = moment = Fraction(0)
        while True:
            first = self._clip.first.pts * self._clip.first.time_base
            for shown in self._clip:
                moment = began + shown.pts * shown.time_base - first
                yield moment, shown
            self.notes += [loss for loss in self._clip.losses if loss not in self.notes]
            if self._is_endless:
                raise SourceLost(f"{self._path} has ended")
            began = moment + 1 / self._clip.rate
            self._clip.close()
            self._clip = VideoFile(self._path)

    def _frame(self, shown: Frame) -> Frame:
        captured_ns = time.monotonic_ns()
        return replace(
            self._like,
            planes=fitted(shown, self._like),
            pts=(captured_ns - self._like.captured_ns) // 1000,
            captured_ns=captured_ns,
        )
