"""Times: when each picture of a clip is shown, also where the clip does not quite say."""

from __future__ import annotations

from fractions import Fraction

import av
from av.format import Flags


class Times:
    """Gives every picture a timestamp later than the one before, counted from the clip's start."""

    def __init__(
        self, container: av.container.InputContainer, tick: Fraction, rate: Fraction
    ) -> None:
        self.tick = tick  # seconds
        self.went_back = False  # a picture had to be moved behind the one before
        self.last_pts: int | None = None
        self._step = max(1, round(1 / (rate * tick)))
        self._start_s = _start_s(container)
        # AVI has times of decoding only; FFmpeg's guess at those of showing is out of order.
        self._from_decoding = "avi" in container.format.name
        self._first_dts: int | None = None

    def date(self, picture: av.VideoFrame) -> None:
        """Set the picture's pts."""
        pts = self._decoding_time(picture) if self._from_decoding else picture.pts
        if pts is not None:
            pts -= self.shift(self.tick)
        else:
            pts = 0 if self.last_pts is None else self.last_pts + self._step
        if self.last_pts is not None and pts <= self.last_pts:
            self.went_back = True
            pts = self.last_pts + 1
        picture.pts = self.last_pts = pts

    def shift(self, tick: Fraction) -> int:
        """Where the clip's clock starts, in ticks of a stream: to be taken off its times."""
        return round(self._start_s / tick)

    def _decoding_time(self, picture: av.VideoFrame) -> int | None:
        if picture.dts is None:
            return None
        if self._first_dts is None:
            self._first_dts = picture.dts
        return picture.dts - self._first_dts


def _start_s(container: av.container.InputContainer) -> Fraction:
    """In seconds: broadcast formats begin anywhere, all others at zero."""
    if Flags.ts_discont in Flags(container.format.flags) and container.start_time is not None:
        return Fraction(container.start_time, av.time_base)
    return Fraction(0)
