"""Losses: what of a clip's picture is damaged or missing, found out while it is read."""

from __future__ import annotations

import av

_GAP_S = 0.5
_SHORT_S = 0.5


class Losses:
    """Watches the packets and pictures of one stream; `found()` says in words what is lost."""

    def __init__(
        self, container: av.container.InputContainer, stream: av.video.VideoStream, tick_s: float
    ) -> None:
        self._container, self._stream, self._tick_s = container, stream, tick_s
        self._packets = self._damaged = 0
        self._end_s = 0.0
        self._gaps: list[tuple[int, int]] = []
        self._last: int | None = None
        self._stopped: list[str] = []

    @property
    def index_is_whole(self) -> bool:
        """MP4 and MOV: the index lists each frame that will be read, edit lists applied."""
        return "mp4" in self._container.format.name and self._stream.frames > 0

    def packet_read(self, packet: av.Packet) -> None:
        """Note one packet of the stream."""
        if packet.size == 0:
            return
        self._packets += 1
        moment = packet.pts if packet.pts is not None else packet.dts
        if moment is None:
            return
        if self._last is not None and (moment - self._last) * self._tick_s > _GAP_S:
            self._gaps.append((self._last, moment))
        self._last = moment
        self._end_s = max(self._end_s, (moment + (packet.duration or 0)) * self._tick_s)

    def packet_failed(self) -> None:
        """Note a packet that does not decode."""
        self._damaged += 1

    def picture_decoded(self, picture: av.VideoFrame) -> None:
        """Note one picture: the decoder may have patched it."""
        self._damaged += picture.is_corrupt

    def reading_stopped(self, words: str) -> None:
        """Note that the file gave no more."""
        self._stopped.append(f"reading stopped early ({words})")

    def found(self) -> list[str]:
        """All losses, a sentence each; call it when the clip has been read to its end."""
        losses = list(self._stopped)
        if self._damaged:
            losses.append(f"{self._damaged} damaged frames")
        if self.index_is_whole:
            missing = len(self._stream.index_entries) - self._packets
            if missing > 0:
                losses.append(f"{missing} frames missing: the file is cut short")
            return losses
        losses += [f"{s:.1f} s missing in the middle" for s in self._holes_s()]
        noted_s = _seconds(self._stream.metadata.get("DURATION", ""))
        if noted_s is not None and noted_s - self._end_s > _SHORT_S:
            losses.append(f"the last {noted_s - self._end_s:.1f} s missing: the file is cut short")
        return losses

    def _holes_s(self) -> list[float]:
        """Gaps in which, by the file's own index, there is a key frame. A clip of variable rate
        may rest for seconds, but then no key frame is noted there."""
        if not self._gaps:
            return []
        try:
            self._container.seek(0)  # reads the index, which most files have at their end
        except (av.FFmpegError, OSError):
            return []
        listed = [entry.timestamp for entry in self._stream.index_entries]
        return [
            (end - start) * self._tick_s
            for start, end in self._gaps
            if any(start < moment < end for moment in listed)
        ]


def _seconds(clock: str) -> float | None:
    """Seconds of "00:01:02.500000000", as Matroska's writers note; None if it is not so."""
    parts = clock.split(":")
    try:
        return int(parts[0]) * 3600 + int(parts[1]) * 60 + float(parts[2])
    except (ValueError, IndexError):
        return None
