"""VideoLoop: a clip as background, at its own rate, over and over."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from stream import StreamError
from stream.compose import composite
from stream.cover import fitted, kind_of
from stream.frame import Alpha, Frame, Plane
from stream.overlap import ReadAhead
from stream.sources.video_file import VideoFile

log = logging.getLogger(__name__)


class VideoLoop:
    """Shows, behind each frame, the clip's frame of the same time since the start.

    With `ahead`, for what is live, so many frames are decoded and fitted ahead on a thread, and
    nothing waits: while the clip is late (it is opened again at its end) its last frame stays, and
    its time stands still.
    """

    blends = True

    def __init__(self, path: str, ahead: int = 0) -> None:
        try:
            self._clip = Endless(path)
        except StreamError as error:
            raise StreamError(
                f"cannot use background {path}: it is no picture or clip that can be read"
            ) from error
        self._ahead = ReadAhead(self._clip, ahead) if ahead else None
        self._frames = iter(self._ahead or self._clip)
        self._shown = next(self._frames)
        self._next: Frame | None = None
        self._began_s: Fraction | None = None
        self._planes: tuple[Plane, ...] = ()
        self._made_from: tuple[object, ...] | None = None

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """The person over the clip's frame of this moment."""
        return composite(frame, self._planes_for(frame), alpha)

    def alone(self, frame: Frame) -> Frame:
        """The clip's frame of this moment."""
        return frame.with_planes(self._planes_for(frame))

    def close(self) -> None:
        """Close the clip; safe to call twice."""
        (self._ahead or self._clip).close()

    def _planes_for(self, frame: Frame) -> tuple[Plane, ...]:
        self._clip.like = frame if self._ahead else None
        self._go_to(frame.pts * frame.time_base)
        made_from = (self._shown, *kind_of(frame))
        if self._made_from != made_from:
            self._planes, self._made_from = fitted(self._shown, frame), made_from
        return self._planes

    def _go_to(self, time_s: Fraction) -> None:
        """Show the clip's frame of this time."""
        if self._began_s is None:
            self._began_s = time_s
        while True:
            self._next = self._next or self._following()
            if self._next is None:
                late_s = time_s - self._began_s - _time_s(self._shown) - 1 / self._clip.rate
                self._began_s += max(late_s, Fraction(0))
                return
            if _time_s(self._next) > time_s - self._began_s:
                return
            self._shown, self._next = self._next, None

    def _following(self) -> Frame | None:
        """The clip's next frame; None where it is not ready and must not be waited for."""
        if self._ahead is None:
            return next(self._frames)
        try:
            return self._ahead.ready()
        except Exception as error:  # whatever a strange file does, the call goes on
            is_bug = not isinstance(error, StreamError)
            log.warning("the background stands still: %s", error, exc_info=is_bug)
            self._ahead.close()
            return None


class Endless:
    """A clip again and again, as a source; the time goes on, from 0.

    While `like` is set the frames come fitted to it.
    """

    is_live = False

    def __init__(self, path: str) -> None:
        self.like: Frame | None = None
        self._path = path
        self._clip = VideoFile(path)
        self.rate = self._clip.rate

    def __iter__(self) -> Iterator[Frame]:
        """The frames; it never ends."""
        began_s = Fraction(0)
        while True:
            first_s = _time_s(self._clip.first)
            time_s = began_s
            for frame in self._clip:
                time_s = began_s + _time_s(frame) - first_s
                yield _at(self._fitted(frame), time_s)
            began_s = time_s + 1 / self._clip.rate
            self._clip.close()
            self._clip = VideoFile(self._path)

    def close(self) -> None:
        """Close the clip; safe to call twice."""
        self._clip.close()

    def _fitted(self, frame: Frame) -> Frame:
        like = self.like
        return frame if like is None else replace(like, planes=fitted(frame, like))


def _time_s(frame: Frame) -> Fraction:
    return frame.pts * frame.time_base


def _at(frame: Frame, time_s: Fraction) -> Frame:
    """The frame at a time that may be no whole number of its clip's ticks."""
    return replace(frame, pts=time_s.numerator, time_base=Fraction(1, time_s.denominator))
