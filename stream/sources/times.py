"""Times: when each picture of a clip is shown, also where the clip does not quite say."""

from __future__ import annotations

from fractions import Fraction

import av
from av.format import Flags

_JUMP_S = 10  # a clock that leaps further, or back, has been set anew


class Times:
    """Puts every packet on the clip's own clock, and gives every picture a time of its own."""

    def __init__(
        self, container: av.container.InputContainer, tick: Fraction, rate: Fraction
    ) -> None:
        self.tick = tick  # seconds
        self.went_back = False  # a picture had to be moved behind the one before
        self._last_pts: int | None = None
        self._step = max(1, round(1 / (rate * tick)))
        # Broadcast formats begin anywhere and may be set anew midway; all others begin at zero.
        self._is_broadcast = Flags.ts_discont in Flags(container.format.flags)
        self._shift_s = Fraction(0)
        if self._is_broadcast and container.start_time is not None:
            self._shift_s = Fraction(container.start_time, av.time_base)
        # By stream: the last dts as it came, the shift then, and the dts on the clip's clock.
        self._last: dict[int, tuple[Fraction, Fraction, Fraction]] = {}
        # AVI has times of decoding only; FFmpeg's guess at those of showing is out of order.
        self._from_decoding = "avi" in container.format.name
        self._first_dts: int | None = None

    def place(self, packet: av.Packet) -> None:
        """Move a packet of any stream to the clip's clock, which starts at zero and never leaps."""
        if not self._is_broadcast:
            return
        tick = packet.time_base
        if packet.dts is not None and packet.stream.type in ("video", "audio"):
            self._follow(packet, packet.dts * tick)
        if packet.dts is not None:
            packet.dts -= round(self._shift_s / tick)
        if packet.pts is not None:
            packet.pts -= round(self._shift_s / tick)

    def _follow(self, packet: av.Packet, raw_s: Fraction) -> None:
        """Let the shift take up a clock that was set anew, so that the stream goes straight on."""
        if packet.stream.index in self._last:
            last_raw_s, last_shift_s, last_s = self._last[packet.stream.index]
            # Once one stream has shown the new clock, the others follow it to within a second.
            was_set_back = raw_s < last_raw_s and last_shift_s == self._shift_s
            if was_set_back or not -1 <= raw_s - self._shift_s - last_s <= _JUMP_S:
                self._shift_s = raw_s - last_s - (packet.duration or 0) * packet.time_base
        self._last[packet.stream.index] = (raw_s, self._shift_s, raw_s - self._shift_s)

    def date(self, picture: av.VideoFrame) -> None:
        """Set the picture's time, later than that of the one before."""
        pts = self._decoding_time(picture) if self._from_decoding else picture.pts
        if pts is None:
            pts = 0 if self._last_pts is None else self._last_pts + self._step
        if self._last_pts is not None and pts <= self._last_pts:
            self.went_back = True
            pts = self._last_pts + 1
        picture.pts = self._last_pts = pts
        if picture.time_base is None:  # the decoder still held it when reading broke off
            picture.time_base = self.tick

    def _decoding_time(self, picture: av.VideoFrame) -> int | None:
        if picture.dts is None:
            return None
        if self._first_dts is None:
            self._first_dts = picture.dts
        return picture.dts - self._first_dts
