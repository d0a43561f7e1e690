"""VideoLoop: a clip as background, at its own rate, over and over."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from stream import StreamError
from stream.av_frames import picture_of, planes_in, reformatted
from stream.backgrounds import cover, cover_hw
from stream.color import coded_rgb_of, planes_of
from stream.compose import composite
from stream.frame import Alpha, Frame, Plane
from stream.sources.video_file import VideoFile


class VideoLoop:
    """Shows, behind each frame, the clip's frame of the same time since the start."""

    blends = True

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._clip = VideoFile(path)
        except StreamError as error:
            raise StreamError(
                f"cannot use background {path}: it is no picture or clip that can be read"
            ) from error
        self._moments = self._endless()
        self._ends_s, self._shown = next(self._moments)
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
        self._clip.close()

    def _planes_for(self, frame: Frame) -> tuple[Plane, ...]:
        time_s = frame.pts * frame.time_base
        if self._began_s is None:
            self._began_s = time_s
        while self._ends_s <= time_s - self._began_s:
            self._ends_s, self._shown = next(self._moments)
        made_from = (self._shown, frame.size_hw, frame.format, frame.color, frame.pixel_aspect)
        if self._made_from != made_from:
            self._planes, self._made_from = fitted(self._shown, frame), made_from
        return self._planes

    def _endless(self) -> Iterator[tuple[Fraction, Frame]]:
        """(when it ends, in seconds since the start, frame), the clip again and again."""
        began_s = Fraction(0)
        while True:
            first_s = shown_s = self._clip.first.pts * self._clip.first.time_base
            waiting: Frame | None = None
            for shown in self._clip:
                shown_s = shown.pts * shown.time_base
                if waiting is not None:
                    yield began_s + shown_s - first_s, waiting
                waiting = shown
            began_s += shown_s - first_s + 1 / self._clip.rate
            yield began_s, waiting or self._clip.first
            self._clip.close()
            self._clip = VideoFile(self._path)


def fitted(shown: Frame, frame: Frame) -> tuple[Plane, ...]:
    """The planes of `shown` in the format of `frame`, scaled to cover it, cropped to its size."""
    h, w = shown.size_hw
    display_hw = (h, round(w * shown.pixel_aspect))
    if shown.color.is_hdr or frame.color.is_hdr:  # the two mean other light by the same values
        rgb = coded_rgb_of(shown, display_hw)
        return planes_of(cover(rgb, frame), frame, shown.color)
    covering = cover_hw(display_hw, frame)
    scaled = planes_in(reformatted(picture_of(shown), frame.format, covering, frame.color))
    return tuple(
        _center_of(plane, hw)
        for plane, hw in zip(scaled, frame.layout.plane_hws(frame.size_hw), strict=True)
    )


def _center_of(plane: Plane, size_hw: tuple[int, int]) -> Plane:
    top, left = ((have - want) // 2 for have, want in zip(plane.shape, size_hw, strict=True))
    return plane[top : top + size_hw[0], left : left + size_hw[1]]
