"""Sound and other tracks that a container refuses only when asked; the clip is written."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stream import StreamError
from stream.sinks.clip import ClipWriter
from stream.sinks.codecs import codec_for
from stream.sources.video_file import VideoFile

MakeClip = Callable[..., Path]


def rewritten(clip: Path, output: Path) -> list[str]:
    """Carry a clip through source and sink; the notes."""
    source = VideoFile(str(clip), carry=True)
    codec = codec_for(output, None, False)
    writer = ClipWriter(
        output, source.first, codec, shown=output, rate=source.rate, carried=source.carried
    )
    for frame in source:
        writer.write(frame)
    writer.close()
    source.close()
    assert source.losses == []
    return source.notes + writer.notes


def still(number: int, size_hw: tuple[int, int] = (48, 64)) -> av.VideoFrame:
    rgb = np.full((*size_hw, 3), 20 * number, np.uint8)
    picture = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv420p")
    picture.pts, picture.time_base = number, Fraction(1, 30)
    return picture


def sounding(path: Path, codec: str, layout: str = "stereo", rate: int = 48_000) -> Path:
    """Ten pictures and a third of a second of noise."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", 30)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream(codec, rate, layout=layout)
        sound.codec_context.open()
        for number in range(10):
            container.mux(picture.encode(still(number)))
        container.mux(picture.encode(None))
        size = sound.codec_context.frame_size or 1024
        resampler = av.AudioResampler(sound.format, sound.layout, rate, size)
        channels = sound.layout.nb_channels
        noise = np.random.default_rng(0).normal(0, 0.1, (channels, rate // 3)).astype(np.float32)
        wave = av.AudioFrame.from_ndarray(noise, "fltp", layout)
        wave.sample_rate, wave.pts, wave.time_base = rate, 0, Fraction(1, rate)
        for resampled in [*resampler.resample(wave), *resampler.resample(None)]:
            container.mux(sound.encode(resampled))
        container.mux(sound.encode(None))
    return path


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def heard_s(path: Path) -> float:
    with av.open(str(path)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


def sound_bytes(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return b"".join(bytes(packet) for packet in container.demux(audio=0))


@pytest.mark.parametrize(
    ("codec", "rate", "name"),
    [
        ("libopus", 48_000, "out.mov"),
        ("flac", 48_000, "out.mov"),
        ("libmp3lame", 11_025, "out.mp4"),
    ],
)
def test_sound_that_the_writer_refuses_in_the_end_is_encoded_again_and_said(
    tmp_path: Path, codec: str, rate: int, name: str
) -> None:
    clip = sounding(tmp_path / "in.mkv", codec, rate=rate)
    notes = rewritten(clip, tmp_path / name)
    assert any(note.startswith("audio 1") and "re-encoded to aac" in note for note in notes)
    assert frames_in(tmp_path / name) == 10
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.audio[0].codec.name == "aac"
    assert heard_s(tmp_path / name) == pytest.approx(1 / 3, abs=0.2)


@pytest.mark.parametrize("layout", ["stereo", "5.1"])
@pytest.mark.parametrize("name", ["in.mkv", "in.avi"])
def test_plain_samples_whose_channels_have_no_names_arrive_in_mp4(
    tmp_path: Path, name: str, layout: str
) -> None:
    clip, output = sounding(tmp_path / name, "pcm_s16le", layout), tmp_path / "out.mp4"
    notes = rewritten(clip, output)
    assert frames_in(output) == 10
    with av.open(str(output)) as container:
        assert container.streams.audio[0].layout.nb_channels == (6 if layout == "5.1" else 2)
    if any(note.startswith("audio 1") and note.endswith("copied") for note in notes):
        assert sound_bytes(output) == sound_bytes(clip)
    else:
        assert any("re-encoded" in note for note in notes)
    assert heard_s(output) == pytest.approx(1 / 3, abs=0.1)


def test_what_a_mov_takes_is_named() -> None:
    with pytest.raises(StreamError, match=r"vp9 into x\.mov: \.mov takes h264, h265, prores"):
        codec_for(Path("x.mov"), "vp9", False)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.webm"])
def test_a_sound_track_that_is_only_declared_does_not_fail_the_clip(
    tmp_path: Path, name: str
) -> None:
    clip = tmp_path / "mute.ts"
    with av.open(str(clip), "w") as container:
        picture = container.add_stream("libx264", 30)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        container.add_stream("aac", 48_000, layout="mono")  # and not a packet of it
        for number in range(10):
            container.mux(picture.encode(still(number)))
        container.mux(picture.encode(None))
    with av.open(str(clip)) as container:
        assert container.streams.audio[0].codec_context.sample_rate == 0  # that is the test
    notes = rewritten(clip, tmp_path / name)
    assert frames_in(tmp_path / name) == 10
    assert any(note.startswith("audio 1") and "left behind" in note for note in notes)


def two_pictures_and_words(path: Path) -> Path:
    """An MP4 with two picture tracks and subtitles."""
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("libx264", 30) for _ in range(2)]
        for track in tracks:
            track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        words = container.add_mux_stream("mov_text")
        words.time_base = Fraction(1, 1000)
        for number in range(10):
            for track in tracks:
                container.mux(track.encode(still(number)))
        for track in tracks:
            container.mux(track.encode(None))
        text = b"Said"
        packet = av.Packet(len(text).to_bytes(2, "big") + text)
        packet.stream, packet.time_base = words, Fraction(1, 1000)
        packet.pts = packet.dts = 100
        packet.duration = 90
        container.mux(packet)
    return path


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_second_picture_track_is_left_behind_with_a_reason_and_subtitles_are_not(
    tmp_path: Path, name: str
) -> None:
    clip = two_pictures_and_words(tmp_path / "in.mp4")
    notes = rewritten(clip, tmp_path / name)
    (left,) = (note for note in notes if note.startswith("video 1"))
    assert "left behind" in left
    assert "picture track" in left
    assert frames_in(tmp_path / name) == 10
    with av.open(str(tmp_path / name)) as container:
        assert len(container.streams.video) == 1
        (words,) = container.streams.subtitles
        said = [
            line.dialogue.decode()
            for packet in container.demux(words)
            if packet.size
            for line in packet.decode()
        ]
    assert [text for text in said if text] == ["Said"]
