"""ClipWriter: composites into a video file, with all that came beside the picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2

from stream import StreamError
from stream.av_frames import nearest_format, picture_of, tag, video_tags
from stream.carried import Carried
from stream.convert import converted, resized, square_hw
from stream.frame import Frame, Plane, layout_of
from stream.reasons import reason
from stream.sinks.codecs import Codec
from stream.sinks.passage import Passage, open_passages

# What the old file's writer said about itself and about the picture as it was coded there.
_NOT_CARRIED = (
    *("ENCODER", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "DURATION"),
    *("ALPHA_MODE", "BPS", "NUMBER_OF_", "_STATISTICS", "ROTATE"),
)
_LONGEST_REORDERING_S = 60
_TELLS = ("mp4", "mov")  # containers that state the pixels' shape for any codec


class ClipWriter:
    """Encodes frames that are all like the first one, each at its own time.

    `path` is the file written to, `shown` the name it will have in the end (for messages).
    `notes` says in words what had to be changed or left behind.
    """

    def __init__(
        self,
        path: Path,
        like: Frame,
        codec: Codec,
        *,
        shown: Path,
        rate: Fraction,
        quality: int | None = None,
        carried: Carried | None = None,
        container_options: dict[str, str] | None = None,
    ) -> None:
        self.notes: list[str] = []
        self._shown, self._carried = shown, carried or Carried()
        self._passages: dict[int, Passage] = {}
        self._held: av.Packet | None = None  # the last packet, until the next one comes
        self._lead = 0  # ticks by which frames are shown after they are decoded
        self._end = 0  # tick at which the last frame ends
        self._durations: dict[int, int] = {}  # by pts, of frames inside the encoder
        self._open = False
        with self._errors_named():
            # Sound may begin before zero (its encoder's run-up); moved there, all would move.
            options = {"avoid_negative_ts": "disabled", **(container_options or {})}
            self._container = av.open(str(path), "w", options=options)
            self._open = True
            self._stream = self._add_picture(like, codec, rate, quality)
            self._passages = open_passages(self._carried, self._container, self.notes)
            self._container.metadata.update(_kept(self._carried.metadata))
            self._container.set_chapters(self._carried.chapters)
            self._container.start_encoding()

    def write(self, frame: Frame) -> None:
        """Encode one frame, and pass on what belongs beside it."""
        with self._errors_named():
            if frame.duration:
                self._durations[frame.pts] = frame.duration
            self._mux(self._picture(frame))
            self._pass_on()

    def close(self) -> None:
        """Finish the file; safe to call twice, and after a failed write."""
        if not self._open:
            return
        with self._errors_named():
            self._mux(None)
            self._mux_last()
            self._pass_on()
            for passage in self._passages.values():
                passage.finish()
            self._open = False
            self._container.close()

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Make of FFmpeg's errors one that names the file; nothing is written after it."""
        try:
            yield
        except (av.FFmpegError, OSError, StreamError) as error:
            if self._open:
                self._open = False
                with suppress(av.FFmpegError, OSError):
                    self._container.close()
            if isinstance(error, StreamError):
                raise
            raise StreamError(f"cannot write {self._shown}: {reason(error)}") from error

    def _add_picture(
        self, like: Frame, codec: Codec, rate: Fraction, quality: int | None
    ) -> av.video.VideoStream:
        codec.check_size(
            like.size_hw, like.layout.has_alpha and codec.canonical == "vp9", self._shown
        )
        stream = cast(
            av.video.VideoStream,
            self._container.add_stream(
                codec.encoder, rate, codec.options_at(quality, like.size_hw)
            ),
        )
        context = stream.codec_context
        offered = [each.name for each in context.codec.video_formats or ()]
        context.pix_fmt = self._format = nearest_format(like.format, offered)
        self._color = like.color
        if not self._format.startswith("gbr"):
            self._color = video_tags(like.color, like.size_hw)
        self._say_format(like)
        tag(context, self._color)
        self._squared_hw = self._square(like, codec)
        self._size_hw = self._even(self._squared_hw or like.size_hw, codec)
        context.height, context.width = self._size_hw
        context.sample_aspect_ratio = Fraction(1) if self._squared_hw else like.pixel_aspect
        context.time_base = stream.time_base = like.time_base
        if codec.tag:
            context.codec_tag = codec.tag
        if codec.canonical == "vp9" and "yuva" in self._format:
            stream.metadata["alpha_mode"] = "1"
        stream.metadata.update(_kept(self._carried.picture_metadata))
        context.open()
        return stream

    def _square(self, like: Frame, codec: Codec) -> tuple[int, int] | None:
        """The size with square pixels, where the file could not say that they are not square."""
        if like.pixel_aspect == 1 or codec.tells_aspect or self._container.format.name in _TELLS:
            return None
        (h, w), (height, width) = like.size_hw, square_hw(like)
        self.notes.append(
            f"pixels were {like.pixel_aspect} as wide as high, which {codec.canonical} cannot say "
            f"in {self._shown.suffix}: scaled from {w}×{h} to {width}×{height}"
        )
        return height, width

    def _even(self, size_hw: tuple[int, int], codec: Codec) -> tuple[int, int]:
        """The encoded size: even where the codec takes no odd one."""
        layout = layout_of(self._format)
        assert layout is not None
        h, w = size_hw
        v_shift, h_shift = layout.chroma_shift if codec.needs_even else (0, 0)
        even = (h + h % (1 << v_shift), w + w % (1 << h_shift))
        if even != (h, w):
            sides = (("row", h, even[0]), ("column", w, even[1]))
            added = " and ".join(name for name, had, has in sides if had != has)
            self.notes.append(
                f"{w}×{h} is odd and {codec.canonical} takes even sizes only here: the last "
                f"{added} repeated (VP9, ProRes and PNG keep odd sizes)"
            )
        return even

    def _say_format(self, like: Frame) -> None:
        had, has = like.layout, layout_of(self._format)
        assert has is not None
        if has.depth < had.depth and had.family != "rgb":
            self.notes.append(f"{had.depth}-bit reduced to {has.depth}: the codec takes no more")

    def _mux(self, picture: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(picture):
            assert packet.pts is not None and packet.dts is not None
            packet.duration = self._durations.pop(packet.pts, packet.duration or 0)
            # x265 makes up the decoding time of a clip's only frame.
            if abs(packet.pts - packet.dts) * packet.time_base > _LONGEST_REORDERING_S:
                packet.dts = packet.pts
            if self._held is None:
                self._lead = packet.pts - packet.dts
            else:
                self._container.mux(self._held)
            self._held = packet
            self._end = max(self._end, packet.pts + packet.duration)

    def _mux_last(self) -> None:
        """MP4 takes a sample's length from the steps of decoding times, and the last packet is
        not the last frame: to show that one to its end, the packet lasts until then."""
        if self._held is not None and self._held.dts is not None:
            self._held.duration = max(self._end - self._lead - self._held.dts, 0)
            self._container.mux(self._held)

    def _picture(self, frame: Frame) -> av.VideoFrame:
        """The frame as the encoder takes it: its format, its size, its time."""
        frame = converted(frame, self._format, self._color)
        if self._squared_hw:
            frame = resized(frame, self._squared_hw)
        if frame.size_hw != self._size_hw:
            sizes = frame.layout.plane_hws(self._size_hw)
            frame = frame.with_planes(
                tuple(_grown(plane, hw) for plane, hw in zip(frame.planes, sizes, strict=True))
            )
        return picture_of(frame)

    def _pass_on(self) -> None:
        while self._carried.packets:
            packet = self._carried.packets.popleft()
            if passage := self._passages.get(packet.stream_index):
                passage.take(packet)


def _grown(plane: Plane, size_hw: tuple[int, int]) -> Plane:
    """The plane with its last row and column repeated up to a size."""
    rows, columns = (want - have for want, have in zip(size_hw, plane.shape, strict=True))
    if not rows and not columns:
        return plane
    return cv2.copyMakeBorder(plane, 0, rows, 0, columns, cv2.BORDER_REPLICATE)


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata without what the writer of the old file said about itself."""
    return {key: text for key, text in metadata.items() if not key.upper().startswith(_NOT_CARRIED)}
