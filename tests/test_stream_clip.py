"""ClipWriter: the same clip with other pictures; sound, times, colors and the rest stay."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from stream import StreamError
from stream.backgrounds import Plain, Transparent, open_background
from stream.config import CodecName
from stream.frame import SRGB, Alpha, Frame
from stream.interfaces import Background
from stream.sinks.clip import ClipWriter
from stream.sinks.codecs import codec_for
from stream.sources.video_file import VideoFile

MakeClip = Callable[..., Path]
COVER = av.stream.Disposition.attached_pic


def rewritten(
    clip: Path,
    output: Path,
    codec: CodecName | None = None,
    *,
    quality: int | None = None,
    background: Background | None = None,
    alpha: Alpha | None = None,
) -> list[str]:
    """Carry a clip through source and sink, as main.py does but without a network; the notes."""
    background = background or Plain()
    source = VideoFile(str(clip), carry=True)
    matte = np.ones(source.first.size_hw, np.float32) if alpha is None else alpha
    like = background.compose(source.first, matte)
    writer = ClipWriter(
        output,
        like,
        codec_for(output, codec, like.layout.has_alpha),
        shown=output,
        rate=source.rate,
        quality=quality,
        carried=source.carried,
    )
    for frame in source:
        writer.write(background.compose(frame, matte))
    writer.close()
    source.close()
    return source.notes + writer.notes


def written(
    path: Path, frames: list[Frame], codec: CodecName | None = None, **options: int
) -> Path:
    """Frames that nothing travels beside, encoded."""
    like = frames[0]
    wanted = codec_for(path, codec, like.layout.has_alpha)
    writer = ClipWriter(path, like, wanted, shown=path, rate=Fraction(30), **options)
    for frame in frames:
        writer.write(frame)
    writer.close()
    return path


def gray_frames(pts: list[int], time_base: Fraction, size_hw: tuple[int, int]) -> list[Frame]:
    """RGB frames, each of its own gray."""
    return [
        Frame((np.full(size_hw, 20 + 9 * n, np.uint8),) * 3, "gbrp", SRGB, moment, time_base, 0)
        for n, moment in enumerate(pts)
    ]


def times_in(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return sorted(
            packet.pts * packet.time_base
            for packet in container.demux(video=0)
            if packet.size and not packet.is_discard
        )


def shown_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def packets_in(path: Path, kind: str) -> list[list[tuple[Fraction, bytes]]]:
    """(time, bytes) of all packets of each stream of a kind."""
    with av.open(str(path)) as container:
        found: dict[int, list[tuple[Fraction, bytes]]] = {
            stream.index: [] for stream in container.streams if stream.type == kind
        }
        for packet in container.demux():
            if packet.size and packet.stream_index in found:
                found[packet.stream_index].append((packet.pts * packet.time_base, bytes(packet)))
    return list(found.values())


def video_stream(path: Path) -> av.video.VideoStream:
    container = av.open(str(path))
    return next(stream for stream in container.streams.video if not stream.disposition & COVER)


# ------------------------------------------------------------------------------------------ time


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25)])
@pytest.mark.parametrize("name", ["out.mp4", "out.mov"])
def test_times_are_exact(make_clip: MakeClip, tmp_path: Path, name: str, rate: Fraction) -> None:
    pts = [number * rate.denominator for number in range(10)]
    clip = make_clip("in.mp4", pts=pts, time_base=Fraction(1, rate.numerator), rate=rate)
    rewritten(clip, tmp_path / name)
    assert shown_times(tmp_path / name) == [number / rate for number in range(10)]
    assert video_stream(tmp_path / name).average_rate == rate


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv", "out.webm"])
def test_a_variable_rate_is_kept(make_clip: MakeClip, tmp_path: Path, name: str) -> None:
    pts = [0, 40, 50, 170, 180, 181, 400, 900]
    clip = make_clip("in.mkv", pts=pts, time_base=Fraction(1, 1000), rate=Fraction(30))
    rewritten(clip, tmp_path / name)
    assert shown_times(tmp_path / name) == [Fraction(moment, 1000) for moment in pts]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_no_frame_is_lost_however_uneven_the_times(tmp_path: Path, name: str, seed: int) -> None:
    steps = np.random.default_rng(seed).integers(1, 90, 11)
    pts = [0, *np.cumsum(steps).tolist()]
    path = written(tmp_path / name, gray_frames(pts, Fraction(1, 1000), (32, 32)))
    assert shown_times(path) == [Fraction(moment, 1000) for moment in pts]


def test_a_clip_that_starts_late_still_starts_late(tmp_path: Path) -> None:
    path = written(tmp_path / "late.mp4", gray_frames([15, 16, 17], Fraction(1, 30), (32, 32)))
    assert shown_times(path) == [Fraction(moment, 30) for moment in (15, 16, 17)]


# ----------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
def test_sound_is_copied_bit_for_bit(make_clip: MakeClip, tmp_path: Path, name: str) -> None:
    clip, output = make_clip("in.mp4", with_sound=True), tmp_path / name
    notes = rewritten(clip, output)
    (before,), (after,) = packets_in(clip, "audio"), packets_in(output, "audio")
    assert [data for _, data in after] == [data for _, data in before]
    assert "audio 1 (aac): copied" in notes


def test_sound_that_webm_does_not_take_is_encoded_again_and_said(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip("in.mp4", pts=list(range(30)), with_sound=True)
    notes = rewritten(clip, tmp_path / "out.webm")
    assert any("re-encoded to opus" in note for note in notes)
    with av.open(str(tmp_path / "out.webm")) as container:
        assert container.streams.audio[0].codec.name == "opus"
        samples = np.concatenate(
            [frame.to_ndarray()[0] for frame in container.decode(audio=0)], axis=0
        )
    assert samples.size / 48_000 == pytest.approx(1.0, abs=0.06)
    assert np.abs(np.fft.rfft(samples[9600:33600])).argmax() * 2 == pytest.approx(440, abs=2)


def sounding_clip(path: Path, sounds: list[tuple[str, str, str]], shift_s: float = 0) -> Path:
    """Pictures and, for each (codec, language, layout), sound that begins `shift_s` later."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", 30)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        streams = []
        for codec, language, layout in sounds:
            stream = container.add_stream(codec, 48_000, layout=layout)
            stream.metadata["language"] = language
            streams.append(stream)
        for number in range(10):
            still = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
            still = still.reformat(format="yuv420p")
            still.pts, still.time_base = number, Fraction(1, 30)
            container.mux(picture.encode(still))
        container.mux(picture.encode(None))
        for stream in streams:
            _sound(container, stream, shift_s)
    return path


def _sound(container: av.container.OutputContainer, stream: av.audio.AudioStream, s: float) -> None:
    channels = stream.layout.nb_channels
    resampler = av.AudioResampler(stream.format, stream.layout, 48_000, stream.frame_size or 1024)
    for start in range(0, 14_400, 960):
        noise = np.random.default_rng(start).normal(0, 0.1, (channels, 960)).astype(np.float32)
        wave = av.AudioFrame.from_ndarray(noise, "fltp", stream.layout.name)
        wave.sample_rate, wave.time_base = 48_000, Fraction(1, 48_000)
        wave.pts = start + round(s * 48_000)
        for resampled in resampler.resample(wave):
            container.mux(stream.encode(resampled))
    for resampled in resampler.resample(None):
        container.mux(stream.encode(resampled))
    container.mux(stream.encode(None))


def test_every_sound_stream_keeps_its_language(tmp_path: Path) -> None:
    sounds = [("aac", "eng", "mono"), ("libmp3lame", "deu", "stereo"), ("aac", "fra", "stereo")]
    clip = sounding_clip(tmp_path / "in.mkv", sounds)
    for name in ("out.mkv", "out.mp4"):
        notes = rewritten(clip, tmp_path / name)
        before, after = packets_in(clip, "audio"), packets_in(tmp_path / name, "audio")
        assert [[data for _, data in one] for one in after] == [
            [data for _, data in one] for one in before
        ]
        with av.open(str(tmp_path / name)) as container:
            languages = [stream.language for stream in container.streams.audio]
        # Matroska writes ISO 639-2/B (ger, fre), MP4 the T codes; players know both.
        assert [{"ger": "deu", "fre": "fra"}.get(word, word) for word in languages] == [
            "eng",
            "deu",
            "fra",
        ]
        assert len([note for note in notes if note.endswith("copied")]) == 3


def test_of_several_streams_only_those_are_encoded_again_that_must_be(tmp_path: Path) -> None:
    clip = sounding_clip(
        tmp_path / "in.mkv", [("libopus", "eng", "mono"), ("aac", "fra", "stereo")]
    )
    notes = rewritten(clip, tmp_path / "out.webm")
    before, after = packets_in(clip, "audio"), packets_in(tmp_path / "out.webm", "audio")
    assert [data for _, data in after[0]] == [data for _, data in before[0]]
    assert len(after[1]) > 10
    assert ["copied" in note for note in notes if note.startswith("audio")] == [True, False]
    with av.open(str(tmp_path / "out.webm")) as container:
        assert container.streams.audio[1].layout.name == "stereo"
        assert container.streams.audio[1].language in ("fra", "fre")


@pytest.mark.parametrize("layout", ["5.1", "stereo"])
@pytest.mark.parametrize("codec", ["flac", "ac3"])
def test_many_channels_can_be_encoded_again(tmp_path: Path, codec: str, layout: str) -> None:
    clip = sounding_clip(tmp_path / "in.mkv", [(codec, "eng", layout)])
    rewritten(clip, tmp_path / "out.webm")
    with av.open(str(tmp_path / "out.webm")) as container:
        assert container.streams.audio[0].layout.nb_channels == (6 if layout == "5.1" else 2)
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 14_400


@pytest.mark.parametrize("shift_s", [0.1, 0.0])
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.webm"])
@pytest.mark.parametrize("kind", ["in.mkv", "in.mp4", "in.ts"])
def test_picture_and_sound_keep_their_offset(
    tmp_path: Path, kind: str, name: str, shift_s: float
) -> None:
    clip = sounding_clip(tmp_path / kind, [("aac", "eng", "mono")], shift_s)
    rewritten(clip, tmp_path / name)
    if name == "out.webm":  # encoded again, from the first sound that is heard
        assert heard_after_s(tmp_path / name) == pytest.approx(heard_after_s(clip), abs=0.0021)
        return
    (before,), (after,) = packets_in(clip, "audio"), packets_in(tmp_path / name, "audio")
    was_s, is_s = shown_times(clip)[0], shown_times(tmp_path / name)[0]
    for (at_s, _), (was_at_s, _) in zip(after, before, strict=True):
        assert float(at_s - is_s) == pytest.approx(float(was_at_s - was_s), abs=0.0021)


def heard_after_s(path: Path) -> float:
    """By how much the first sound comes after the first picture."""
    with av.open(str(path)) as container:
        sound = next(frame.time for frame in container.decode(audio=0))
    return sound - float(shown_times(path)[0])


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_sound_that_begins_before_the_picture_moves_no_picture(
    make_clip: MakeClip, tmp_path: Path, name: str
) -> None:
    clip = make_clip("in.mp4", with_sound=True)  # an AAC encoder begins 21 ms before zero
    assert packets_in(clip, "audio")[0][0][0] < 0
    rewritten(clip, tmp_path / name)
    for number, time_s in enumerate(shown_times(tmp_path / name)):
        assert abs(time_s - Fraction(number, 30)) <= Fraction(1, 1000)


# ---------------------------------------------------------- subtitles, chapters, metadata, covers


def film(path: Path, *, subtitles: str = "", cover: bool = False, font: bool = False) -> Path:
    """Ten frames with what else a film's file holds."""
    with av.open(str(path), "w") as container:
        container.metadata.update({"title": "A Film", "artist": "Nobody"})
        picture = container.add_stream("libx264", 30)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        words = container.add_mux_stream(subtitles) if subtitles else None
        if words is not None:
            words.metadata["language"] = "eng"
            words.time_base = Fraction(1, 1000)
        front = None
        if cover and path.suffix == ".mkv":  # there a cover is an attached file
            container.add_attachment("cover.jpg", "image/jpeg", jpeg())
        elif cover:
            front = container.add_stream("mjpeg", 1)
            front.width, front.height, front.pix_fmt = 32, 32, "yuvj420p"
            front.disposition = COVER
        if font:
            container.add_attachment("letters.ttf", "font/ttf", b"no real font" * 9)
        chapter = {"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000)}
        second = {"id": 2, "start": 200, "end": 333, "time_base": Fraction(1, 1000)}
        container.set_chapters(
            [
                {**chapter, "metadata": {"title": "Once"}},
                {**second, "metadata": {"title": "Ever after"}},
            ]
        )
        if front is not None:
            packet = av.Packet(jpeg())
            packet.stream, packet.pts, packet.dts, packet.time_base = front, 0, 0, Fraction(1)
            container.mux(packet)
        for number in range(10):
            still = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
            still = still.reformat(format="yuv420p")
            still.pts, still.time_base = number, Fraction(1, 30)
            container.mux(picture.encode(still))
            if words is not None and number in (2, 7):
                container.mux(_words(words, number))
        container.mux(picture.encode(None))
    return path


def jpeg() -> bytes:
    memory = BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(memory, "jpeg")
    return memory.getvalue()


def _words(stream: av.stream.Stream, number: int) -> av.Packet:
    packet = av.Packet(f"Said at {number}".encode())
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts = packet.dts = number * 33
    packet.duration = 90
    return packet


def test_subtitles_are_copied_where_the_container_takes_them(tmp_path: Path) -> None:
    clip = film(tmp_path / "in.mkv", subtitles="subrip")
    notes = rewritten(clip, tmp_path / "out.mkv")
    assert packets_in(tmp_path / "out.mkv", "subtitle") == packets_in(clip, "subtitle")
    assert any(note.startswith("subtitle 1 (subrip, eng): copied") for note in notes)


def test_subtitles_that_do_not_fit_are_rewritten_and_said(tmp_path: Path) -> None:
    clip = film(tmp_path / "in.mkv", subtitles="subrip")
    for name, codec in (("out.mp4", "mov_text"), ("out.mov", "mov_text"), ("out.webm", "webvtt")):
        notes = rewritten(clip, tmp_path / name)
        assert any(f"subtitle 1 (subrip, eng): rewritten as {codec}" in note for note in notes)
        assert said_in(tmp_path / name) == said_in(clip)
        assert len(shown_times(tmp_path / name)) == 10
    rewritten(tmp_path / "out.mp4", tmp_path / "back.mkv")
    assert said_in(tmp_path / "back.mkv") == said_in(clip)


def said_in(path: Path) -> list[tuple[float, str, str]]:
    """When, in which language, what."""
    said = []
    with av.open(str(path)) as container:
        (stream,) = container.streams.subtitles
        for packet in container.demux(stream):
            for line in packet.decode() if packet.size else ():
                if text := line.dialogue.decode():
                    said.append(
                        (round(float(packet.pts * packet.time_base), 3), stream.language, text)
                    )
    return said


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov", "out.webm"])
def test_chapters_and_metadata_are_carried(tmp_path: Path, name: str) -> None:
    for source in ("in.mkv", "in.mp4"):
        rewritten(film(tmp_path / source), tmp_path / name)
        with av.open(str(tmp_path / name)) as container:
            tags = {key.lower(): text for key, text in container.metadata.items()}
            chapters = [
                (each["metadata"]["title"], each["start"] * each["time_base"])
                for each in container.chapters()
            ]
        assert (tags["title"], tags["artist"]) == ("A Film", "Nobody")
        assert chapters == [("Once", 0), ("Ever after", Fraction(1, 5))]


@pytest.mark.parametrize("source", ["in.mp4", "in.mkv"])
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov"])
def test_cover_art_is_carried(tmp_path: Path, source: str, name: str) -> None:
    clip = film(tmp_path / source, cover=True)
    assert covers_in(clip) == [jpeg()]
    notes = rewritten(clip, tmp_path / name)
    if name == "out.mov":  # QuickTime files have no place for it
        assert any("cover art" in note and "left behind" in note for note in notes)
    else:
        assert covers_in(tmp_path / name) == [jpeg()]
    assert len(shown_times(tmp_path / name)) == 10


def covers_in(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        indices = [stream.index for stream in container.streams if stream.disposition & COVER]
        return [bytes(p) for p in container.demux() if p.size and p.stream_index in indices]


def test_attachments_are_carried_or_said_to_be_left(tmp_path: Path) -> None:
    clip = film(tmp_path / "in.mkv", font=True)
    rewritten(clip, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        fonts = [stream for stream in container.streams if stream.type == "attachment"]
        assert [(font.metadata["filename"], font.data) for font in fonts] == [
            ("letters.ttf", b"no real font" * 9)
        ]
    notes = rewritten(clip, tmp_path / "out.mp4")
    assert any("left behind" in note and note.startswith("attachment") for note in notes)


# --------------------------------------------------------------------------------- color, aspect


def tags_in(path: Path) -> tuple[int, int, int, int]:
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
    return (picture.colorspace, picture.color_primaries, picture.color_trc, picture.color_range)


@pytest.mark.parametrize(
    "tags", [(1, 1, 1, 1), (1, 1, 1, 2), (5, 5, 6, 1), (9, 9, 16, 1), (9, 9, 18, 1)]
)
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("out.mp4", None),
        ("out.mkv", None),
        ("out.mp4", "h265"),
        ("out.mkv", "ffv1"),
        ("out.webm", None),
    ],
)
def test_color_tags_and_range_are_carried(
    make_clip: MakeClip,
    tmp_path: Path,
    name: str,
    codec: CodecName | None,
    tags: tuple[int, int, int, int],
) -> None:
    words = ("colorspace", "color_primaries", "color_trc", "color_range")
    depth = "yuv420p10le" if tags[0] == 9 else "yuv420p"
    clip = make_clip(
        "in.mkv", pts=[0, 1, 2, 3], pix_fmt=depth, tags=dict(zip(words, tags, strict=True))
    )
    assert tags_in(clip) == tags
    rewritten(clip, tmp_path / name, codec)
    assert tags_in(tmp_path / name) == tags


@pytest.mark.parametrize(
    ("size_hw", "assumed"), [((48, 64), (6, 6, 6, 1)), ((720, 64), (1, 1, 1, 1))]
)
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.webm"])
def test_an_untagged_clip_is_tagged_with_what_was_assumed(
    make_clip: MakeClip,
    tmp_path: Path,
    name: str,
    size_hw: tuple[int, int],
    assumed: tuple[int, int, int, int],
) -> None:
    clip = make_clip("in.mkv", pts=[0], size_hw=size_hw)
    assert tags_in(clip)[0] == 2
    rewritten(clip, tmp_path / name)
    assert tags_in(tmp_path / name) == assumed


def test_a_full_range_clip_stays_full_range(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip("in.mkv", pts=[0], codec="mjpeg", pix_fmt="yuvj420p")
    rewritten(clip, tmp_path / "out.mp4", quality=0)
    assert tags_in(tmp_path / "out.mp4")[3] == 2
    (before,), (after,) = luma_of(clip), luma_of(tmp_path / "out.mp4")
    assert np.array_equal(after, before)


def luma_of(path: Path) -> list[np.ndarray]:
    return [frame.planes[0] for frame in VideoFile(str(path))]


@pytest.mark.parametrize(
    ("name", "codec"), [("out.mp4", None), ("out.mkv", None), ("out.mov", "prores")]
)
def test_pixels_that_are_not_square_stay_so(
    make_clip: MakeClip, tmp_path: Path, name: str, codec: CodecName | None
) -> None:
    clip = make_clip("in.mp4", pts=[0, 1], pixel_aspect=Fraction(4, 3))
    rewritten(clip, tmp_path / name, codec)
    stream = video_stream(tmp_path / name)
    assert stream.sample_aspect_ratio == Fraction(4, 3)
    assert (stream.height, stream.width) == (48, 64)


@pytest.mark.parametrize(("name", "codec"), [("out.webm", None), ("out.mkv", "ffv1")])
def test_a_file_that_cannot_tell_of_such_pixels_shows_the_same_shape_and_says_so(
    make_clip: MakeClip, tmp_path: Path, name: str, codec: CodecName | None
) -> None:
    clip = make_clip("in.mp4", pts=[0, 1], pixel_aspect=Fraction(4, 3))
    notes = rewritten(clip, tmp_path / name, codec)
    stream = video_stream(tmp_path / name)
    aspect = stream.sample_aspect_ratio or 1
    assert float(stream.width * aspect / stream.height) == pytest.approx(16 / 9, rel=0.01)
    kept = aspect == Fraction(4, 3)
    assert kept != any("4/3" in note for note in notes)


# ------------------------------------------------------------------------------- size, bit depth


@pytest.mark.parametrize(("name", "codec"), [("out.mp4", None), ("out.mkv", "ffv1")])
def test_an_odd_size_is_padded_by_one_repeated_line_only_where_it_must_be(
    make_clip: MakeClip, tmp_path: Path, name: str, codec: CodecName | None
) -> None:
    clip = make_clip("in.mkv", pts=[0, 1, 2], size_hw=(49, 65), codec="ffv1")
    quality = 0 if codec is None else None  # H.264 at 0 loses nothing
    notes = rewritten(clip, tmp_path / name, codec, quality=quality)
    for before, after in zip(luma_of(clip), luma_of(tmp_path / name), strict=True):
        if codec:
            assert np.array_equal(after, before)
        else:
            assert np.array_equal(after, np.pad(before, ((0, 1), (0, 1)), "edge"))
    assert any("repeated" in note for note in notes) == (codec is None)


def test_an_odd_size_is_padded_for_h265(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip("in.mkv", size_hw=(49, 64), codec="ffv1")
    notes = rewritten(clip, tmp_path / "out.mp4", "h265")
    stream = video_stream(tmp_path / "out.mp4")
    assert (stream.height, stream.width) == (50, 64)
    assert any("row repeated" in note and "column" not in note for note in notes)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("out.webm", None, "yuv420p"),
        ("out.mov", "prores", "yuv422p10le"),
        ("out.mp4", "h264", "yuv444p"),
    ],
)
def test_an_odd_size_is_kept_where_the_codec_can(
    make_clip: MakeClip, tmp_path: Path, name: str, codec: CodecName | None, pix_fmt: str
) -> None:
    clip = make_clip("in.mkv", pts=[0, 1], size_hw=(49, 65), codec="ffv1", pix_fmt=pix_fmt)
    notes = rewritten(clip, tmp_path / name, codec)
    stream = video_stream(tmp_path / name)
    assert (stream.height, stream.width) == (49, 65)
    assert not any("repeated" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("out.mp4", None),
        ("out.mp4", "h265"),
        ("out.mkv", "ffv1"),
        ("out.mkv", "av1"),
    ],
)
def test_ten_bits_stay_ten(
    make_clip: MakeClip, tmp_path: Path, name: str, codec: CodecName | None
) -> None:
    clip = make_clip("in.mkv", size_hw=(64, 64), pix_fmt="yuv420p10le", codec="ffv1")
    notes = rewritten(clip, tmp_path / name, codec)
    assert video_stream(tmp_path / name).pix_fmt == "yuv420p10le"
    assert not any("reduced" in note for note in notes)


def test_ten_bits_that_an_encoder_cannot_take_are_said(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip("in.mkv", pts=[0, 1], pix_fmt="yuv420p10le", codec="ffv1")
    notes = rewritten(clip, tmp_path / "out.webm")
    kept = video_stream(tmp_path / "out.webm").pix_fmt == "yuv420p10le"  # as libvpx is built
    assert kept != any("10-bit reduced to 8" in note for note in notes)


# ----------------------------------------------------------------------------------------- alpha


def slope(size_hw: tuple[int, int]) -> Alpha:
    """A matte with every value: 0 on the left, 1 on the right."""
    h, w = size_hw
    row = np.clip(np.linspace(-0.2, 1.2, w, dtype=np.float32), 0, 1)
    return np.tile(row, (h, 1))


def test_vp9_carries_the_matte(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, alpha = make_clip("in.mp4"), slope((48, 64))
    rewritten(clip, tmp_path / "out.webm", background=Transparent(), alpha=alpha)
    pictures = with_libvpx(tmp_path / "out.webm")
    assert len(pictures) == 10
    for picture in pictures:
        assert picture.format.name == "yuva420p"
        seen = plane_of(picture, 3, np.uint8).astype(float)
        assert np.abs(seen - alpha * 255).mean() < 2
        assert np.abs(seen[:, :8]).max() <= 3
        assert seen[:, -8:].min() >= 252


def with_libvpx(path: Path) -> list[av.VideoFrame]:
    """VP9 with its alpha: FFmpeg's own decoder drops it."""
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    with av.open(str(path)) as container:
        metadata = container.streams.video[0].metadata
        assert {key.lower(): text for key, text in metadata.items()}["alpha_mode"] == "1"
        packets = [packet for packet in container.demux(video=0) if packet.size]
        return [p for packet in packets for p in decoder.decode(packet)] + decoder.decode(None)


def plane_of(picture: av.VideoFrame, index: int, dtype: type) -> np.ndarray:
    plane = picture.planes[index]
    return np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width]


def test_prores_carries_the_matte_exactly(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, alpha = make_clip("in.mp4"), slope((48, 64))
    rewritten(clip, tmp_path / "out.mov", background=Transparent(), alpha=alpha)
    with av.open(str(tmp_path / "out.mov")) as container:
        pictures = list(container.decode(video=0))
    assert len(pictures) == 10
    for picture in pictures:
        depth = picture.format.components[3].bits
        seen = plane_of(picture, 3, np.uint16) / ((1 << depth) - 1)
        assert np.abs(seen - np.rint(alpha * 255) / 255).max() <= 1 / 1023
        assert (seen[:, -8:] == 1).all()  # all the person is there
        assert (seen[:, :8] == 0).all()


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_container_without_alpha_names_those_with(tmp_path: Path, name: str) -> None:
    with pytest.raises(StreamError, match=r"\.mov .*\.webm .*folder"):
        codec_for(tmp_path / name, None, with_alpha=True)


def test_a_container_that_cannot_hold_a_codec_names_what_fits(tmp_path: Path) -> None:
    frames = gray_frames([0], Fraction(1, 30), (32, 32))
    for name, codec, fits in (
        ("out.webm", "h264", ("vp9", "av1")),
        ("out.mp4", "prores", ("h264", "h265")),
    ):
        with pytest.raises(StreamError) as caught:
            written(tmp_path / name, frames, codec)
        message = str(caught.value)
        assert name in message
        assert all(word in message for word in fits), message


def test_an_ending_that_says_nothing_is_refused_with_those_that_do(tmp_path: Path) -> None:
    for name in ("out.wmv", "out.avi"):  # AVI holds no variable rate and no times of its own
        with pytest.raises(StreamError, match=name.replace(".", r"\.") + r".*\.mp4"):
            codec_for(tmp_path / name, None, with_alpha=False)


# --------------------------------------------------------------------------------------- quality


@pytest.mark.parametrize(
    ("name", "codec"), [("out.mp4", None), ("out.mp4", "h265"), ("out.webm", None)]
)
def test_quality_trades_size(tmp_path: Path, name: str, codec: CodecName | None) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (3, 96, 128), np.uint8)
    like = gray_frames(list(range(4)), Fraction(1, 30), (96, 128))
    frames = [frame.with_planes(tuple(noise)) for frame in like]
    fine = written(tmp_path / f"fine{name}", frames, codec, quality=4).stat().st_size
    coarse = written(tmp_path / f"coarse{name}", frames, codec, quality=45).stat().st_size
    assert fine > 2 * coarse


@pytest.mark.parametrize(("codec", "quality"), [("h264", 52), ("h264", -1), ("ffv1", 3)])
def test_a_quality_that_does_not_exist_is_refused(
    tmp_path: Path, codec: CodecName, quality: int
) -> None:
    with pytest.raises(StreamError, match="quality"):
        written(
            tmp_path / "out.mkv", gray_frames([0], Fraction(1), (32, 32)), codec, quality=quality
        )


# ------------------------------------------------------------------------------------- bit-exact


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p"])
def test_where_the_matte_is_1_the_person_arrives_bit_for_bit(
    make_clip: MakeClip, tmp_path: Path, pix_fmt: str
) -> None:
    clip = make_clip("in.mkv", pts=[0, 1, 2], pix_fmt=pix_fmt, codec="ffv1")
    alpha = slope((48, 64))
    green = open_background("#00b140")
    rewritten(clip, tmp_path / "out.mkv", "ffv1", background=green, alpha=alpha)
    before, after = (list(VideoFile(str(path))) for path in (clip, tmp_path / "out.mkv"))
    assert after[0].format == pix_fmt
    for old, new in zip(before, after, strict=True):
        for plane, composite in zip(old.planes, new.planes, strict=True):
            step = 64 // plane.shape[1]
            inside = slice(56 // step, None)  # alpha is 1 from column 54 on
            assert np.array_equal(composite[:, inside], plane[:, inside])
            assert not np.array_equal(composite[:, : 8 // step], plane[:, : 8 // step])


def test_all_pixels_of_a_frame_reach_a_lossless_codec(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip("in.mkv", codec="ffv1", size_hw=(49, 65), pix_fmt="yuv420p")
    rewritten(clip, tmp_path / "out.mkv", "ffv1")
    before, after = (list(VideoFile(str(path))) for path in (clip, tmp_path / "out.mkv"))
    for old, new in zip(before, after, strict=True):
        assert all(map(np.array_equal, old.planes, new.planes))


# ---------------------------------------------------------------------------------------- errors


def test_a_frame_too_small_for_its_codec_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r"tiny\.mp4"):
        written(tmp_path / "tiny.mp4", gray_frames([0], Fraction(1, 30), (2, 2)), "h265")


def test_close_twice_is_fine(tmp_path: Path) -> None:
    frames = gray_frames([0, 1], Fraction(1, 30), (32, 32))
    writer = ClipWriter(
        tmp_path / "out.mp4",
        frames[0],
        codec_for(tmp_path / "out.mp4", None, False),
        shown=tmp_path / "out.mp4",
        rate=Fraction(30),
    )
    for frame in frames:
        writer.write(frame)
    writer.close()
    writer.close()
    assert len(shown_times(tmp_path / "out.mp4")) == 2
