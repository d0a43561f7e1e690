"""Passages: a clip's sound, subtitles and cover into the new container, copied where it can be."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from math import ceil
from typing import Protocol, cast

import av

from stream.carried import Carried

# The layouts that the encoders know, by channels; others (5.1 with side speakers) are mapped.
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_WORDS = ("subrip", "ass", "webvtt", "mov_text", "text")
_WORDS_IN = {"mp4": "mov_text", "mov": "mov_text", "webm": "webvtt", "matroska": "srt"}
_COVER = av.stream.Disposition.attached_pic


class Passage(Protocol):
    """The way of one stream's packets."""

    def take(self, packet: av.Packet) -> None:
        """Pass one packet on."""
        ...

    def finish(self) -> None:
        """Pass on what is held back."""
        ...


class Copied:
    """Packets go over bit for bit."""

    def __init__(self, container: av.container.OutputContainer, source: av.stream.Stream) -> None:
        self._container = container
        self._stream = container.add_stream_from_template(source, opaque=True)
        self._last_dts: int | None = None
        _dress(self._stream, source)
        if isinstance(self._stream, av.audio.AudioStream):
            layout = self._stream.codec_context.layout
            if layout.name.endswith("channels"):  # a muxer wants to know which
                self._stream.codec_context.layout = _LAYOUTS.get(layout.nb_channels, layout)

    def take(self, packet: av.Packet) -> None:
        """Pass one packet on; one whose time runs back comes right after the one before."""
        if packet.dts is not None:
            # The container's tick may be coarser than the packet's.
            tick = self._stream.time_base or packet.time_base
            step = max(1, ceil(tick / packet.time_base))
            if self._last_dts is not None and packet.dts < self._last_dts + step:
                packet.dts = self._last_dts + step
                packet.pts = max(packet.pts or packet.dts, packet.dts)
            self._last_dts = packet.dts
        packet.stream = self._stream
        self._container.mux(packet)

    def finish(self) -> None:
        """Nothing is held back."""


class Reencoded:
    """Sound that the container does not take, decoded and encoded again."""

    def __init__(
        self, container: av.container.OutputContainer, source: av.audio.AudioStream, codec: str
    ) -> None:
        context = cast(av.audio.AudioStream, source).codec_context
        rate = 48_000 if "opus" in codec else context.sample_rate  # Opus knows no other
        self._container = container
        self._stream = cast(av.audio.AudioStream, container.add_stream(codec, rate))
        self._stream.codec_context.layout = _LAYOUTS.get(context.layout.nb_channels, "stereo")
        _dress(self._stream, source)
        self._stream.codec_context.open()
        self._next_pts = -(10**9)
        self._resampler = av.AudioResampler(
            self._stream.format,
            self._stream.layout,
            rate,
            frame_size=self._stream.codec_context.frame_size,
        )

    def take(self, packet: av.Packet) -> None:
        """Pass on what the packet sounds like; one that does not decode leaves a gap."""
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            return
        for frame in cast(list[av.AudioFrame], decoded):
            self._encode(frame)

    def finish(self) -> None:
        """Pass on what resampler and encoder hold back."""
        self._encode(None)
        self._container.mux(self._stream.encode(None))

    def _encode(self, frame: av.AudioFrame | None) -> None:
        for resampled in self._resampler.resample(frame):
            if resampled.pts is not None:  # in samples; what runs back comes right after
                resampled.pts = max(resampled.pts, self._next_pts)
                self._next_pts = resampled.pts + resampled.samples
            self._container.mux(self._stream.encode(resampled))


class Rewritten:
    """Subtitles in words, in the form that the container takes."""

    def __init__(
        self, container: av.container.OutputContainer, source: av.stream.Stream, codec: str
    ) -> None:
        self._container = container
        self._decoder = cast(av.subtitles.codeccontext.SubtitleCodecContext, source.codec_context)
        self._stream = cast(av.subtitles.stream.SubtitleStream, container.add_stream(codec))
        self._encoder = self._stream.codec_context
        if not self._decoder.is_open:
            self._decoder.open()  # which makes up its header of styles
        self._encoder.subtitle_header = self._decoder.subtitle_header
        self._encoder.time_base = self._stream.time_base = Fraction(1, 1000)
        _dress(self._stream, source)
        self._encoder.open()

    def take(self, packet: av.Packet) -> None:
        """Pass on what the packet says; one that does not decode says nothing."""
        try:
            words = self._decoder.decode2(packet)
        except av.FFmpegError:
            return
        if words is None:
            return
        rewritten = self._encoder.encode_subtitle(words)
        rewritten.pts, rewritten.dts = packet.pts, packet.dts
        rewritten.duration, rewritten.time_base = packet.duration, packet.time_base
        rewritten.stream = self._stream
        self._container.mux(rewritten)

    def finish(self) -> None:
        """Nothing is held back."""


def open_passages(
    carried: Carried, container: av.container.OutputContainer, notes: list[str]
) -> dict[int, Passage]:
    """A passage for every stream that can travel, by index; `notes` says what becomes of each."""
    passages: dict[int, Passage] = {}
    for source in carried.streams:
        if source.type == "data" and source.codec_context is None and carried.chapters:
            continue  # MP4's text track of chapters, which are carried as chapters
        name = _name(source)
        if source.type == "attachment":
            said = _attach(cast(av.stream.AttachmentStream, source), container)
        elif source.disposition & _COVER and container.format.name == "matroska":
            said = _attach_cover(source, carried, container)
        elif _is_taken(source, container):
            passages[source.index] = Copied(container, source)
            said = "copied"
        elif source.type == "audio" and _is_decodable(source):
            codec = "libopus" if container.format.name == "webm" else "aac"
            passages[source.index] = Reencoded(container, cast(av.audio.AudioStream, source), codec)
            said = f"re-encoded to {codec.removeprefix('lib')}: the container does not take it"
        elif _codec_of(source) in _WORDS and container.format.name in _WORDS_IN:
            codec = _WORDS_IN[container.format.name]
            passages[source.index] = Rewritten(container, source, codec)
            said = f"rewritten as {codec}: the container does not take it"
        else:
            said = "left behind: " + _why_left(source)
        notes.append(f"{name}: {said}")
    return passages


def _is_taken(source: av.stream.Stream, container: av.container.OutputContainer) -> bool:
    if source.type == "video":
        is_cover = bool(source.disposition & _COVER)
        return is_cover and container.format.name == "mp4"
    if source.codec_context is None or source.type not in ("audio", "subtitle"):
        return False
    return _codec_of(source) in container.supported_codecs and _is_muxed(source, container.format)


def _is_muxed(source: av.stream.Stream, format: av.ContainerFormat) -> bool:
    """Whether the container's writer really begins a file with this stream: the list of codecs
    promises Opus in MOV and any sample rate in MP4."""
    try:
        with av.open(BytesIO(), "w", format=format.name) as trial:
            trial.add_stream_from_template(source, opaque=True)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _is_decodable(source: av.stream.Stream) -> bool:
    """False for sound of which the file declares no more than that it exists."""
    context = cast(av.audio.AudioStream, source).codec_context
    return context is not None and context.sample_rate > 0 and context.layout.nb_channels > 0


def _why_left(source: av.stream.Stream) -> str:
    if source.type == "video" and not source.disposition & _COVER:
        return "one picture track is carried, the first"
    if source.type == "audio":
        return "it cannot be decoded"
    return "the container does not take it"


def _attach(source: av.stream.AttachmentStream, container: av.container.OutputContainer) -> str:
    if container.format.name != "matroska":
        return "left behind: only Matroska holds attachments"
    name = source.metadata.get("filename", "attachment")
    container.add_attachment(name, source.mimetype or "application/octet-stream", source.data)
    return "copied"


def _attach_cover(
    source: av.stream.Stream, carried: Carried, container: av.container.OutputContainer
) -> str:
    """Matroska keeps a cover as an attached file; its packet comes before the first frame's."""
    kind = source.codec_context.codec.canonical_name.replace("mjpeg", "jpeg")
    data = next((p for p in carried.packets if p.stream_index == source.index), None)
    if data is None:
        return "left behind: it cannot be read"
    name = f"cover.{kind.replace('jpeg', 'jpg')}"
    container.add_attachment(name, f"image/{kind}", bytes(data))
    return "copied"


def _dress(stream: av.stream.Stream, source: av.stream.Stream) -> None:
    """Language, title, default and forced flags."""
    stream.metadata.update(source.metadata)
    stream.disposition = source.disposition


def _codec_of(source: av.stream.Stream) -> str:
    return source.codec_context.codec.canonical_name if source.codec_context else ""


def _name(source: av.stream.Stream) -> str:
    kind = "cover art" if source.disposition & _COVER else source.type
    codec = _codec_of(source)
    language = source.language if source.language not in (None, "und") else ""
    inside = ", ".join(part for part in (codec, language) if part)
    return f"{kind} {source.index} ({inside})" if inside else f"{kind} {source.index}"
