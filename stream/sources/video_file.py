"""VideoFile: the frames of a clip, upright, whole, in their own format and time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av

from stream import StreamError
from stream.av_frames import format_of, frame_of, house_format, reformatted, tags_of
from stream.carried import Carried
from stream.frame import Frame
from stream.reasons import reason
from stream.sources.deinterlace import Deinterlacer
from stream.sources.losses import Losses
from stream.sources.orientation import Orientation
from stream.sources.times import Times

log = logging.getLogger(__name__)

_SILENCE_S = 10.0  # how long a server may say nothing
_ATTACHED = av.stream.Disposition.attached_pic


class VideoFile:
    """Decodes the first real video stream of a file or URL; the rest of it goes into `carried`.

    Raises StreamError when there is nothing to show. Damage further on is not raised: what decodes
    is delivered, and `losses`, filled when the frames have ended, says in words what was not.
    `first` is a look at the first frame before the frames are taken.
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
        self.rate = self._stream.guessed_rate or self._stream.average_rate or Fraction(30)
        tick = self._stream.time_base or 1 / self.rate
        self._times = Times(self._container, tick, self.rate)
        self._watch = Losses(self._container, self._stream, float(tick), Path(path))
        self._deinterlacer: Deinterlacer | None = None
        pictures = self._pictures()
        first = next(pictures, None)
        if first is None:
            why = "; ".join(self._watch.found()) or "it holds none"
            self.close()
            raise StreamError(f"cannot find a single frame in {path} ({why}): is the file whole?")
        self._ahead = chain([first], pictures)
        self._orientation = Orientation.of(first)
        self._format = self._orientation.turnable(house_format(first.format))
        self._size_hw, self._color = (first.height, first.width), tags_of(first)
        self._aspect = self._orientation.turn_aspect(
            self._stream.sample_aspect_ratio or Fraction(1)
        )
        self.first = self._frame(first)

    @property
    def frames_expected(self) -> int | None:
        """How many frames there should be; None where the file does not tell."""
        if self._stream.frames and self._watch.frames_listed:
            return self._watch.frames_listed
        if self._container.duration:
            return round(self._container.duration * self.rate / av.time_base)
        return None

    def __iter__(self) -> Iterator[Frame]:
        """The frames, once."""
        for picture in self._ahead:
            yield self._frame(picture)
        if self._times.went_back:
            self._note("frames whose time ran backwards were moved behind the one before")
        self.losses += self._watch.found()

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._container.close()

    def _pictures(self) -> Iterator[av.VideoFrame]:
        """Decoded pictures in presentation order, each with a time."""
        try:
            for packet in self._container.demux():
                self._times.place(packet)
                self._watch.packet_read(packet)
                if packet.stream.index != self._stream.index:
                    self._carry(packet)
                    continue
                yield from self._decoded(packet)
        except av.FFmpegError as error:
            self._watch.reading_stopped(reason(error))
            yield from self._decoded(None)
        if self._deinterlacer is not None:
            yield from self._deinterlacer.push(None)

    def _decoded(self, packet: av.Packet | None) -> Iterator[av.VideoFrame]:
        try:
            pictures = self._stream.decode(packet)
        except av.error.EOFError:  # flushed already
            return
        except av.FFmpegError as error:
            log.debug("a packet of %s does not decode: %s", self.path, error)
            self._watch.packet_failed()
            return
        for picture in pictures:
            self._times.date(picture)
            self._watch.picture_decoded(picture)
            yield from self._progressive(picture)

    def _progressive(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        if self._deinterlacer is not None and not self._deinterlacer.takes(picture):
            yield from self._deinterlacer.push(None)
            self._deinterlacer = Deinterlacer(picture, self._times.tick)
        if self._deinterlacer is None and picture.interlaced_frame:
            self._note("interlaced: deinterlaced with bwdif, one frame for each frame")
            self._deinterlacer = Deinterlacer(picture, self._times.tick)
        if self._deinterlacer is None:
            yield picture
        else:
            yield from self._deinterlacer.push(picture)

    def _frame(self, picture: av.VideoFrame) -> Frame:
        """The picture in the format and size of the first, upright."""
        same_size = (picture.height, picture.width) == self._size_hw
        if not same_size:
            h, w = self._size_hw
            self._note(f"the picture's size changes: scaled to the first, {w}×{h}")
        if not same_size or format_of(picture) != self._format:
            picture = reformatted(picture, self._format, self._size_hw, self._color)
        return self._orientation.turn(frame_of(picture, self._color, self._aspect))

    def _carry(self, packet: av.Packet) -> None:
        if self.carried is not None and packet.size > 0:
            self.carried.packets.append(packet)

    def _note(self, text: str) -> None:
        """Say once, in the closing report, what was done to the clip."""
        if text not in self.notes:
            self.notes.append(text)


def _open(path: str) -> av.container.InputContainer:
    if "://" not in path and not Path(path).exists():
        raise StreamError(f"cannot find {path}: is the name right?")
    try:
        timeout = _SILENCE_S if "://" in path else None
        container = av.open(path, metadata_errors="replace", timeout=timeout)
        if container.format.name == "tty":  # FFmpeg plays letters as pictures of a terminal
            container.close()
            raise OSError("it is a text")
        return container
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
