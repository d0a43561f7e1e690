"""Clips that strangers have: glued together, cut, silent, with pauses; every frame arrives."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from stream import StreamError
from stream.backgrounds import Plain, Transparent
from stream.interfaces import Background
from stream.sinks.clip import ClipWriter
from stream.sinks.codecs import codec_for
from stream.sources.video_file import VideoFile

MakeClip = Callable[..., Path]


def rewritten(clip: Path, output: Path, background: Background | None = None) -> VideoFile:
    """Carry a clip through source and sink with a matte of noise; the source, read to its end."""
    background = background or Plain()
    source = VideoFile(str(clip), carry=True)
    matte = np.random.default_rng(0).random(source.first.size_hw, np.float32)
    like = background.compose(source.first, matte)
    codec = codec_for(output, None, like.layout.has_alpha)
    writer = ClipWriter(output, like, codec, shown=output, rate=source.rate, carried=source.carried)
    for frame in source:
        writer.write(background.compose(frame, matte))
    writer.close()
    source.close()
    return source


def glued(path: Path, *parts: Path) -> Path:
    """The files one behind the other, as `cat` does it."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def shown_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def sound_dts_s(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [p.dts * p.time_base for p in container.demux(audio=0) if p.size]


# -------------------------------------------------------------------------------- a clock set anew


@pytest.mark.parametrize(
    ("name", "with_sound"), [("out.mp4", True), ("out.mkv", True), ("out.webm", False)]
)
def test_two_broadcast_clips_glued_together_play_on_across_the_seam(
    make_clip: MakeClip, tmp_path: Path, name: str, with_sound: bool
) -> None:
    part = make_clip("part.ts", pts=list(range(45)), with_sound=with_sound)
    output = tmp_path / name
    rewritten(glued(tmp_path / "both.ts", part, part), output)
    times = shown_times(output)
    assert len(times) == 90
    steps = [late - early for early, late in pairwise(times)]
    assert min(steps) > 0
    assert max(steps) <= Fraction(2, 30) + Fraction(2, 1000)  # within a frame of even
    assert float(times[-1] - times[0]) == pytest.approx(89 / 30, abs=1 / 30 + 0.002)
    if with_sound:
        sound = sound_dts_s(output)
        assert sound == sorted(sound)
        assert len(set(sound)) >= len(sound) - 1  # in whole milliseconds two may fall together
        assert float(sound[-1] - sound[0]) == pytest.approx(90 / 30, abs=0.1)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_an_interlaced_broadcast_may_change_its_size(
    make_clip: MakeClip, tmp_path: Path, codec: str
) -> None:
    parts = [
        make_clip(name, pts=list(range(40)), size_hw=size_hw, codec=codec, interlaced=True)
        for name, size_hw in (("small.ts", (64, 96)), ("large.ts", (96, 128)))
    ]
    clip = glued(tmp_path / "zap.ts", *parts)
    count = len(shown_times(clip))
    assert count == (80 if codec == "libx264" else 79)  # MPEG-2's decoder drops one at the seam
    source = VideoFile(str(clip))
    frames = list(source)
    assert [frame.size_hw for frame in frames] == [(64, 96)] * count
    assert all(early.pts < late.pts for early, late in pairwise(frames))
    for word in ("size changes", "deinterlaced"):
        assert any(word in note for note in source.notes)
    assert bool(source.losses) == (count < 80)


# ------------------------------------------------------------------------------- pauses and the end


def test_our_transparent_webm_with_a_pause_has_no_losses(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    pts = [0, 33, 67, 100, 140, 167, 1167, 1200, 1233, 1267, 1300, 1340]
    clip = make_clip("in.mkv", pts=pts, time_base=Fraction(1, 1000), rate=Fraction(30))
    rewritten(clip, tmp_path / "out.webm", Transparent())
    again = VideoFile(str(tmp_path / "out.webm"))
    assert [frame.pts * frame.time_base for frame in again] == [Fraction(n, 1000) for n in pts]
    assert again.losses == []


def with_a_long_end(clip: Path, path: Path) -> Path:
    """The clip with a last frame of 5 s."""
    with av.open(str(clip)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        last = max(packets, key=lambda packet: packet.pts)
        last.duration = round(5 / last.time_base)
        for packet in packets:
            packet.stream = stream
            new.mux(packet)
    return path


@pytest.mark.parametrize("output", ["out.mkv", "out.webm"])
@pytest.mark.parametrize("name", ["long.mp4", "long.mkv"])
def test_a_last_frame_that_stays_for_seconds_still_does(
    make_clip: MakeClip, tmp_path: Path, name: str, output: str
) -> None:
    clip = with_a_long_end(make_clip("in.mp4", options={"bf": "0"}), tmp_path / name)
    rewritten(clip, tmp_path / output)
    with av.open(str(tmp_path / output)) as container:
        assert container.duration / av.time_base == pytest.approx(9 / 30 + 5, abs=0.1)
    assert len(shown_times(tmp_path / output)) == 10


# -------------------------------------------------------------------------------- damage, silence


def in_fragments(clip: Path, path: Path) -> Path:
    """The clip as recorders write it: an index for each piece and none for the whole."""
    how = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(str(clip)) as old, av.open(str(path), "w", options=how) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    return path


def test_a_truncated_recording_in_fragments_delivers_what_is_there_and_says_so(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip("in.mp4", pts=list(range(60)), options={"g": "10", "qp": "2"})
    path = in_fragments(clip, tmp_path / "pieces.mp4")
    whole = VideoFile(str(path))
    assert len(list(whole)) == 60
    assert whole.losses == []
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"mdat", 0, len(data) * 2 // 3) + 100])
    short = VideoFile(str(path))
    assert 20 <= len(list(short)) < 60
    assert short.losses


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.sources.video_file._SILENCE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls, and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/clip.mp4"
        began_s = time.monotonic()
        with pytest.raises(StreamError, match=url):
            VideoFile(url)
        assert time.monotonic() - began_s < 8  # not the minutes that TCP would wait


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.webm"])
@pytest.mark.parametrize("count", [20, 45])
@pytest.mark.parametrize("with_sound", [False, True])
def test_glued_clips_follow_each_other_whatever_their_length(
    make_clip: MakeClip, tmp_path: Path, name: str, count: int, with_sound: bool
) -> None:
    part = make_clip("part.ts", pts=list(range(count)), with_sound=with_sound)
    rewritten(glued(tmp_path / "both.ts", part, part), tmp_path / name)
    times = shown_times(tmp_path / name)
    assert len(times) == 2 * count
    assert float(times[-1] - times[0]) == pytest.approx((2 * count - 1) / 30, abs=1 / 30 + 0.002)


@pytest.mark.parametrize("options", [{}, {"bf": "0"}], ids=["reordered", "in order"])
@pytest.mark.parametrize("name", ["long.mp4", "long.mkv"])
@pytest.mark.parametrize("output", ["out.mp4", "out.mov", "out.mkv", "out.webm"])
def test_a_last_frame_that_stays_stays_in_every_file(
    make_clip: MakeClip, tmp_path: Path, name: str, options: dict[str, str], output: str
) -> None:
    clip = with_a_long_end(make_clip("in.mp4", options=options), tmp_path / name)
    with av.open(str(clip)) as c:
        if c.duration < 5e6:
            pytest.skip("with reordered frames FFmpeg itself writes no long end into .mp4")
    rewritten(clip, tmp_path / output)
    with av.open(str(tmp_path / output)) as container:
        assert container.duration / av.time_base == pytest.approx(5.3, abs=0.1)


@pytest.mark.parametrize("where", [0.5, 2 / 3])
def test_a_fragmented_clip_cut_in_a_header_is_said_to_be_short(
    make_clip: MakeClip, tmp_path: Path, where: float
) -> None:
    clip = make_clip("in.mp4", pts=list(range(60)), options={"g": "10", "qp": "2"})
    path = in_fragments(clip, tmp_path / "pieces.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"moof", 0, int(len(data) * where)) + 90])
    short = VideoFile(str(path))
    assert len(list(short)) < 60
    assert short.losses
