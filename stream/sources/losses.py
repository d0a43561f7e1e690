"""Losses: what of a clip's picture is damaged or missing, found out while it is read."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import av
from av.format import Flags

_HEADERS_BYTES = 200  # more than that between two packets is something that was skipped


class Losses:
    """Watches a clip's packets and one stream's pictures; `found()` says in words what is lost."""

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: av.video.VideoStream,
        tick_s: float,
        path: Path,
    ) -> None:
        self._path = path
        self._container, self._stream, self._tick_s = container, stream, tick_s
        self._packets = self._damaged = self._skipped_bytes = 0
        self._end_s = 0.0
        self._read_to: int | None = None  # position in the file
        self._last_pts: int | None = None
        self._steps: Counter[int] = Counter()  # ticks from picture to picture
        self._stopped: list[str] = []

    @property
    def frames_listed(self) -> int | None:
        """The frames of MP4 and MOV by their index, edit lists applied; None for other files."""
        return len(self._stream.index_entries) if "mp4" in self._container.format.name else None

    def packet_read(self, packet: av.Packet) -> None:
        """Note one packet of any stream."""
        if packet.size == 0:
            return
        if packet.pos is not None and packet.pos >= 0:
            if self._read_to is not None:
                between = packet.pos - self._read_to
                self._skipped_bytes += between if between > _HEADERS_BYTES else 0
            self._read_to = packet.pos + packet.size
        if packet.stream.index == self._stream.index:
            self._packets += 1
            moment = packet.pts if packet.pts is not None else packet.dts
            if moment is not None:
                self._end_s = max(self._end_s, (moment + (packet.duration or 0)) * self._tick_s)

    def packet_failed(self) -> None:
        """Note a packet that does not decode."""
        self._damaged += 1

    def picture_decoded(self, picture: av.VideoFrame) -> None:
        """Note one picture, in the order of showing: the decoder may have patched it."""
        self._damaged += picture.is_corrupt
        if picture.pts is not None:
            if self._last_pts is not None:
                self._steps[picture.pts - self._last_pts] += 1
            self._last_pts = picture.pts

    def reading_stopped(self, words: str) -> None:
        """Note that the file gave no more."""
        self._stopped.append(f"reading stopped early ({words})")

    def found(self) -> list[str]:
        """All losses, a sentence each; call it when the clip has been read to its end."""
        losses = list(self._stopped)
        if self._damaged:
            losses.append(f"{self._damaged} damaged frames")
        if self.frames_listed is not None:  # of a fragmented file only now that it is read
            missing = self.frames_listed - self._packets
            if missing > 0:
                losses.append(f"{missing} frames missing: the file is cut short")
            elif _is_cut_short(self._path):
                losses.append("the end is missing: the file is cut short")
            return losses
        if missing := self._missing_between():
            losses.append(f"{missing} frames missing in the middle")
        noted_s = _seconds(self._stream.metadata.get("DURATION", ""))
        if noted_s is not None and noted_s - self._end_s > 2 * self._usual_step * self._tick_s:
            losses.append(f"the last {noted_s - self._end_s:.1f} s missing: the file is cut short")
        return losses

    @property
    def _usual_step(self) -> int:
        """Ticks from one picture to the next, most of the time."""
        if self._steps:
            return self._steps.most_common(1)[0][0]
        return round(1 / (float(self._stream.average_rate or 30) * self._tick_s))

    def _missing_between(self) -> int:
        """How many frames the holes in time have room for, where holes mean loss.

        A clip of variable rate may rest for seconds. So holes count only in broadcast streams of
        otherwise even rate, and in Matroska files of which some bytes were passed over.
        """
        usual = self._usual_step
        if "matroska" in self._container.format.name:
            # Alpha lies between the packets and counts for none.
            has_alpha = any(key.lower() == "alpha_mode" for key in self._stream.metadata)
            means_loss = self._skipped_bytes > 0 and not has_alpha
        else:
            near = sum(n for step, n in self._steps.items() if abs(step - usual) <= 0.1 * usual)
            is_even = near >= 0.8 * self._steps.total()
            means_loss = is_even and Flags.ts_discont in Flags(self._container.format.flags)
        if not means_loss:
            return 0
        holes = {step: n for step, n in self._steps.items() if step > 1.5 * usual}
        return sum((round(step / usual) - 1) * n for step, n in holes.items())


def _is_cut_short(path: Path) -> bool:
    """Whether the last box of an MP4 file says that it is longer than the file."""
    if not path.is_file():
        return False
    size, position = path.stat().st_size, 0
    with path.open("rb") as file:
        while position + 8 <= size:
            file.seek(position)
            length, _, long_length = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
            if length == 1:
                length = long_length
            if length < 8:  # 0: to the end of the file
                return False
            position += length
    return position > size


def _seconds(clock: str) -> float | None:
    """Seconds of "00:01:02.500000000", as Matroska's writers note; None if it is not so."""
    parts = clock.split(":")
    try:
        return int(parts[0]) * 3600 + int(parts[1]) * 60 + float(parts[2])
    except (ValueError, IndexError):
        return None
