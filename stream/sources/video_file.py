"""VideoFile: the frames of a clip, upright, whole, in their own format and time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.format import Flags

from stream import StreamError
from stream.av_frames import frame_of, house_format, reformatted, tags_of
from stream.carried import Carried
from stream.frame import Frame
from stream.reasons import reason
from stream.sources.orientation import Orientation

log = logging.getLogger(__name__)

_ATTACHED = av.stream.Disposition.attached_pic


class VideoFile:
    """Decodes the first real video stream of a file or URL; the rest of it goes into `carried`.

    Raises StreamError when there is nothing to show. Damage further on is not raised: what decodes
    is delivered, and `losses` says in words what was not.
    """

    is_live = False

    def __init__(self, path: str, *, carry: bool = False) -> None:
        self.path = path
        self.losses: list[str] = []
        self.notes: list[str] = []
        self._container = _open(path)
        self._stream = _first_video(self._container, path)
        self._stream.thread_type = "AUTO"
        self.carried = _carried(self._container, self._stream) if carry else None
        self._deinterlacer: av.filter.Graph | None = None
        self._damaged = self._packets = 0
        self._last_pts: int | None = None
        self._origin = _origin(self._container)
        self._rate = self._stream.guessed_rate or self._stream.average_rate or Fraction(30)
        self._tick = self._stream.time_base or 1 / self._rate  # seconds
        pictures = self._pictures()
        first = next(pictures, None)
        if first is None:
            self.close()
            raise StreamError(f"cannot find a single frame in {path}: is the file whole?")
        self._orientation = Orientation.of(first)
        self._format = self._orientation.turnable(house_format(first.format))
        self._size_hw, self._color = (first.height, first.width), tags_of(first)
        self._ahead = chain([first], pictures)
        self._aspect = self._orientation.turn_aspect(
            self._stream.sample_aspect_ratio or Fraction(1)
        )
        self.first = self._frame(first)

    @property
    def rate(self) -> Fraction:
        """Frames per second on average, as the file says."""
        return self._rate

    @property
    def time_base(self) -> Fraction:
        """Seconds per tick of the frames' timestamps."""
        return self.first.time_base

    @property
    def frames_expected(self) -> int | None:
        """How many frames there should be; None where the file does not tell."""
        if self._counts_are_exact:
            return len(self._stream.index_entries)
        if self._stream.frames:
            return self._stream.frames
        if self._container.duration:
            return round(self._container.duration / av.time_base * self._rate)
        return None

    @property
    def _counts_are_exact(self) -> bool:
        """MP4 and MOV: the index lists each frame that will be read, edit lists applied."""
        return "mp4" in self._container.format.name

    def __iter__(self) -> Iterator[Frame]:
        """The frames, once."""
        for picture in self._ahead:
            yield self._frame(picture)
        self._check_whole()

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._container.close()

    def _pictures(self) -> Iterator[av.VideoFrame]:
        """Decoded pictures in presentation order, each with a time."""
        try:
            for packet in self._container.demux():
                if packet.stream.index != self._stream.index:  # flush packets have no stream_index
                    self._carry(packet)
                    continue
                self._packets += packet.size > 0
                yield from self._decoded(packet)
        except av.FFmpegError as error:
            if isinstance(error, av.error.ExitError):
                raise
            self.losses.append(f"reading stopped early ({reason(error)})")
            yield from self._decoded(None)
        if self._deinterlacer is not None:
            self._deinterlacer.push(None)
            yield from _pulled(self._deinterlacer, self._tick)

    def _decoded(self, packet: av.Packet | None) -> Iterator[av.VideoFrame]:
        try:
            pictures = self._stream.decode(packet)
        except av.error.EOFError:  # flushed already
            return
        except av.FFmpegError as error:
            log.debug("a packet of %s does not decode: %s", self.path, error)
            self._damaged += 1
            return
        for picture in pictures:
            self._damaged += picture.is_corrupt
            yield from self._progressive(self._timed(picture))

    def _timed(self, picture: av.VideoFrame) -> av.VideoFrame:
        """With a timestamp, later than the one before."""
        if picture.pts is not None:
            picture.pts -= round(self._origin / self._tick)
        elif self._last_pts is not None:
            picture.pts = self._last_pts + max(1, round(1 / (self._rate * self._tick)))
        else:
            picture.pts = 0
        if self._last_pts is not None and picture.pts <= self._last_pts:
            self.note("frames whose time ran backwards were moved behind the one before")
            picture.pts = self._last_pts + 1
        self._last_pts = picture.pts
        return picture

    def _progressive(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        if self._deinterlacer is None and picture.interlaced_frame:
            self.note("interlaced: deinterlaced with bwdif, one frame for each frame")
            self._deinterlacer = _deinterlacer(picture, self._tick)
        if self._deinterlacer is None:
            yield picture
            return
        self._deinterlacer.push(picture)
        yield from _pulled(self._deinterlacer, self._tick)

    def _frame(self, picture: av.VideoFrame) -> Frame:
        if (picture.height, picture.width) != self._size_hw:
            self.note(f"the picture's size changes: scaled to the first, {_wxh(self._size_hw)}")
        if self._differs(picture):
            picture = reformatted(picture, self._format, self._size_hw, self._color)
        frame = frame_of(picture, self._color, self._aspect)
        return self._orientation.turn(frame)

    def _differs(self, picture: av.VideoFrame) -> bool:
        format = picture.format.name.replace("yuvj", "yuv")
        return format != self._format or (picture.height, picture.width) != self._size_hw

    def _carry(self, packet: av.Packet) -> None:
        if self.carried is None or packet.size == 0:
            return
        shift = round(self._origin / packet.time_base)
        packet.pts = packet.pts - shift if packet.pts is not None else None
        packet.dts = packet.dts - shift if packet.dts is not None else None
        self.carried.packets.append(packet)

    def note(self, text: str) -> None:
        """Say once, in the closing report, what was done to the clip."""
        if text not in self.notes:
            self.notes.append(text)

    def _check_whole(self) -> None:
        if self._damaged:
            self.losses.append(f"{self._damaged} damaged frames")
        if self._counts_are_exact and self._packets < len(self._stream.index_entries):
            missing = len(self._stream.index_entries) - self._packets
            self.losses.append(f"{missing} frames missing: the file is cut short")
        elif (short_s := self._short_s()) > _SHORT_S:
            self.losses.append(f"the last {short_s:.1f} s missing: the file is cut short")

    def _short_s(self) -> float:
        """By how much the picture ends before the time that Matroska's writer noted for it."""
        noted = _seconds(self._stream.metadata.get("DURATION", ""))
        if noted is None or self._last_pts is None:
            return 0.0
        return noted - float(self._last_pts * self._tick + 1 / self._rate)


_SHORT_S = 0.5


def _open(path: str) -> av.container.InputContainer:
    if "://" not in path and not Path(path).exists():
        raise StreamError(f"cannot find {path}: is the name right?")
    try:
        return av.open(path, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise StreamError(
            f"cannot open {path} as a clip ({reason(error)}): give a video file, a URL or a folder "
            "of pictures"
        ) from error


def _first_video(container: av.container.InputContainer, path: str) -> av.video.VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & _ATTACHED and stream.codec_context is not None:
            return stream
    raise StreamError(f"cannot find a video stream in {path}: it holds {_contents(container)}")


def _contents(container: av.container.InputContainer) -> str:
    kinds = ["cover art" if stream.type == "video" else stream.type for stream in container.streams]
    return ", ".join(kinds) or "nothing"


def _carried(container: av.container.InputContainer, video: av.video.VideoStream) -> Carried:
    others = [stream for stream in container.streams if stream.index != video.index]
    return Carried(others, dict(container.metadata), dict(video.metadata), container.chapters())


def _origin(container: av.container.InputContainer) -> Fraction:
    """Where time starts, in seconds: broadcast formats begin anywhere, all others at zero."""
    if Flags.ts_discont in Flags(container.format.flags) and container.start_time is not None:
        return Fraction(container.start_time, av.time_base)
    return Fraction(0)


def _deinterlacer(picture: av.VideoFrame, time_base: Fraction) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=time_base
    )
    # A frame for a frame; those not marked as interlaced pass as they are.
    bwdif = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
    return graph


def _pulled(graph: av.filter.Graph, time_base: Fraction) -> Iterator[av.VideoFrame]:
    while True:
        try:
            picture = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(picture, av.VideoFrame)
        assert picture.pts is not None and picture.time_base is not None
        picture.pts = round(picture.pts * picture.time_base / time_base)
        picture.time_base = time_base
        yield picture


def _seconds(clock: str) -> float | None:
    """Seconds of "00:01:02.500000000"; None where it is not of that form."""
    parts = clock.split(":")
    try:
        return int(parts[0]) * 3600 + int(parts[1]) * 60 + float(parts[2])
    except (ValueError, IndexError):
        return None


def _wxh(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[1]}×{size_hw[0]}"
