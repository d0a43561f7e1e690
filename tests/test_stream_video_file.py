"""VideoFile: every frame, upright, in its own format and time, whatever the clip is like."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from stream import StreamError
from stream.frame import Frame, Matrix
from stream.sources.times import Times
from stream.sources.video_file import VideoFile

MakeClip = Callable[..., Path]
ONE = 1 << 16  # 1.0 in a display matrix
LOSSLESS = {"qp": "0", "preset": "ultrafast"}


def frames_of(path: Path) -> list[Frame]:
    source = VideoFile(str(path))
    frames = list(source)
    source.close()
    return frames


def times_of(frames: list[Frame]) -> list[Fraction]:
    return [frame.pts * frame.time_base for frame in frames]


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


# ------------------------------------------------------------------------------------------ time


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv", "clip.ts"])
def test_every_frame_comes_with_its_own_time(make_clip: MakeClip, name: str) -> None:
    path = make_clip(name)
    exact_to_s = Fraction(1, 1000) if name.endswith("mkv") else 0  # Matroska counts milliseconds
    for number, time_s in enumerate(times_of(frames_of(path))):
        assert abs(time_s - Fraction(number, 30)) <= exact_to_s


def test_ntsc_rate_is_exact(make_clip: MakeClip) -> None:
    pts = [number * 1001 for number in range(10)]
    rate = Fraction(30000, 1001)
    path = make_clip("ntsc.mp4", pts=pts, time_base=Fraction(1, 30000), rate=rate)
    source = VideoFile(str(path))
    assert source.rate == rate
    assert times_of(list(source)) == [Fraction(moment, 30000) for moment in pts]


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
def test_a_variable_rate_is_kept(make_clip: MakeClip, name: str) -> None:
    pts = [0, 40, 50, 170, 180, 181, 400, 900]
    path = make_clip(name, pts=pts, time_base=Fraction(1, 1000), rate=Fraction(30))
    assert times_of(frames_of(path)) == [Fraction(moment, 1000) for moment in pts]


def test_a_broadcast_clip_starts_near_zero_whatever_its_clock_says(make_clip: MakeClip) -> None:
    path = make_clip("late.ts", pts=list(range(300, 310)))
    with av.open(str(path)) as container:
        assert container.start_time > 9 * av.time_base  # the clip is what this test is about
    assert times_of(frames_of(path))[0] == 0


def test_frames_without_a_time_are_spaced_by_the_rate(make_clip: MakeClip) -> None:
    path = make_clip("raw.h264")  # a bare stream: the container has no times at all
    assert times_of(frames_of(path)) == [Fraction(number, 30) for number in range(10)]


def test_a_container_without_presentation_times_keeps_an_even_rate(make_clip: MakeClip) -> None:
    path = make_clip("reordered.avi", options={"bf": "2"})  # AVI knows decoding order only
    times = times_of(frames_of(path))
    assert len(times) == 10
    assert {late - early for early, late in pairwise(times)} == {Fraction(1, 30)}


def test_time_never_goes_back(make_clip: MakeClip) -> None:
    for name in ("one.avi", "one.mp4", "one.ts", "one.h264"):
        times = times_of(frames_of(make_clip(name)))
        assert times == sorted(set(times)), name


def test_the_number_of_frames_is_known_before_the_end(make_clip: MakeClip) -> None:
    for name in ("count.mp4", "count.mkv", "count.avi"):
        source = VideoFile(str(make_clip(name)))
        assert source.frames_expected == 10, name
        source.close()


# ----------------------------------------------------------------------------------- orientation

# What the display matrix (a, b, c, d) asks for, in words of FFmpeg's filters: these are the
# choices of its own command line (fftools, get_rotation and configure_input_video_filter), but
# for vflip, whose pictures lie bottom up in memory.
TURNS: dict[str, tuple[tuple[int, int, int, int], str]] = {
    "as stored": ((1, 0, 0, 1), "null"),
    "a quarter clockwise": ((0, 1, -1, 0), "transpose=clock"),
    "half": ((-1, 0, 0, -1), "transpose=clock transpose=clock"),
    "a quarter back": ((0, -1, 1, 0), "transpose=cclock"),
    "mirrored sideways": ((-1, 0, 0, 1), "hflip"),
    "mirrored upside down": ((1, 0, 0, -1), "transpose=clock transpose=clock hflip"),
    "mirrored on the main diagonal": ((0, 1, 1, 0), "transpose=cclock_flip"),
    "mirrored on the other diagonal": ((0, -1, -1, 0), "transpose=clock_flip"),
}


def filtered(picture: av.VideoFrame, words: str) -> av.VideoFrame:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=picture.time_base,
    )
    steps = [graph.add(*step.split("=")) for step in words.split()]
    graph.link_nodes(source, *steps, graph.add("buffersink")).configure()
    graph.push(picture)
    return graph.pull()


def plane_arrays(picture: av.VideoFrame) -> list[np.ndarray]:
    return [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in picture.planes
    ]


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_clip_comes_upright(make_clip: MakeClip, turn: str) -> None:
    (a, b, c, d), words = TURNS[turn]
    matrix = (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)
    path = make_clip("turned.mp4", pts=[0, 1, 2], matrix=matrix, options=LOSSLESS)
    stored = decoded(path)
    for frame, picture in zip(frames_of(path), stored, strict=True):
        upright = plane_arrays(filtered(picture, words))
        for plane, expected in zip(frame.planes, upright, strict=True):
            assert np.array_equal(plane, expected)


def test_a_phone_clip_stands_on_its_feet(make_clip: MakeClip) -> None:
    path = make_clip("phone.mp4", pts=[0], size_hw=(48, 64), rotation=-90)  # shown a turn right
    frame = frames_of(path)[0]
    assert frame.size_hw == (64, 48)
    left_of_stored_square = frame.planes[0][:8].mean()  # the square begins at the stored left
    assert left_of_stored_square > frame.planes[0][-8:].mean() + 20


def test_pixels_that_are_not_square_turn_with_the_picture(make_clip: MakeClip) -> None:
    flat = make_clip("flat.mp4", pts=[0], pixel_aspect=Fraction(4, 3))
    turned = make_clip("turned.mp4", pts=[0], pixel_aspect=Fraction(4, 3), rotation=90)
    assert frames_of(flat)[0].pixel_aspect == Fraction(4, 3)
    assert frames_of(turned)[0].pixel_aspect == Fraction(3, 4)


def test_turned_422_becomes_444_which_encoders_take(make_clip: MakeClip) -> None:
    straight = make_clip("straight.mp4", pts=[0], pix_fmt="yuv422p")
    path = make_clip("turned.mp4", pts=[0, 1], pix_fmt="yuv422p", rotation=90)
    assert frames_of(straight)[0].format == "yuv422p"
    for frame in frames_of(path):
        assert frame.format == "yuv444p"
        assert [plane.shape for plane in frame.planes] == [(64, 48)] * 3


# --------------------------------------------------------------------------------- pixel formats


@pytest.mark.parametrize(
    ("pix_fmt", "name", "codec"),
    [
        ("yuv420p", "same.mkv", "ffv1"),
        ("yuv422p", "same.mkv", "ffv1"),
        ("yuv444p", "same.mkv", "ffv1"),
        ("yuv411p", "same.mkv", "ffv1"),
        ("yuv420p10le", "deep.mkv", "ffv1"),
        ("yuv422p12le", "deep.mkv", "ffv1"),
        ("gbrp", "same.mp4", "libx265"),
    ],
)
def test_planes_are_the_very_ones_that_were_decoded(
    make_clip: MakeClip, pix_fmt: str, name: str, codec: str
) -> None:
    path = make_clip(name, pts=[0, 1], pix_fmt=pix_fmt, codec=codec)
    for frame, picture in zip(frames_of(path), decoded(path), strict=True):
        assert frame.format == pix_fmt
        wide = "le" in pix_fmt
        assert frame.planes[0].dtype == (np.uint16 if wide else np.uint8)
        for plane, raw in zip(frame.planes, picture.planes, strict=True):
            stored = np.frombuffer(raw, np.uint16 if wide else np.uint8)
            stored = stored.reshape(raw.height, -1)[:, : raw.width]
            assert np.array_equal(plane, stored)


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "expected"),
    [
        ("nv12", "rawvideo", "yuv420p"),
        ("yuyv422", "rawvideo", "yuv422p"),
        ("gray", "ffv1", "yuv420p"),
        ("gray10le", "ffv1", "yuv420p10le"),
        ("bgr0", "ffv1", "gbrp"),
        ("rgb24", "rawvideo", "gbrp"),
        ("rgb48le", "rawvideo", "gbrp16le"),
        ("yuva420p", "ffv1", "yuv420p"),
    ],
)
def test_other_layouts_become_the_planar_one_that_keeps_all_of_them(
    make_clip: MakeClip, pix_fmt: str, codec: str, expected: str
) -> None:
    path = make_clip("other.nut", pts=[0, 1], pix_fmt=pix_fmt, codec=codec)
    for frame, picture in zip(frames_of(path), decoded(path), strict=True):
        assert picture.format.name == pix_fmt  # else this test is about nothing
        assert frame.format == expected
        rgb = picture.to_ndarray(format="rgb48le" if "16" in expected else "rgb24")
        if expected.startswith("gbr"):
            assert np.array_equal(np.dstack([frame.planes[i] for i in (2, 0, 1)]), rgb)
        elif pix_fmt in ("nv12", "yuva420p", "yuyv422"):
            planar = plane_arrays(picture.reformat(format=expected))
            assert all(map(np.array_equal, frame.planes, planar))
        else:
            depth = frame.layout.depth
            assert (frame.planes[1] == 1 << (depth - 1)).all()  # gray has no color
            assert frame.planes[0].max() > frame.planes[0].min() << 1


@pytest.mark.parametrize("codec", ["ffv1", "libvpx-vp9"])
def test_an_odd_size_is_kept(make_clip: MakeClip, codec: str) -> None:
    for frame in frames_of(make_clip("odd.mkv", pts=[0, 1], size_hw=(49, 65), codec=codec)):
        assert frame.size_hw == (49, 65)
        assert [plane.shape for plane in frame.planes] == [(49, 65), (25, 33), (25, 33)]


# ----------------------------------------------------------------------------------------- color


def test_full_range_of_an_mjpeg_clip_is_known(make_clip: MakeClip) -> None:
    path = make_clip("webcam.mkv", pts=[0], codec="mjpeg", pix_fmt="yuvj422p")
    frame = frames_of(path)[0]
    assert frame.format == "yuv422p"
    assert frame.color.full_range


@pytest.mark.parametrize(
    ("size_hw", "matrix"),
    [((48, 64), Matrix.SMPTE170M), ((576, 64), Matrix.BT470BG), ((720, 64), Matrix.BT709)],
)
def test_an_untagged_clip_is_taken_as_its_size_suggests(
    make_clip: MakeClip, size_hw: tuple[int, int], matrix: Matrix
) -> None:
    frame = frames_of(make_clip("untagged.mp4", pts=[0], size_hw=size_hw))[0]
    assert frame.color.matrix == matrix
    assert not frame.color.full_range


def test_hdr_tags_are_read(make_clip: MakeClip) -> None:
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    path = make_clip("hdr.mp4", pts=[0], pix_fmt="yuv420p10le", tags=tags)
    color = frames_of(path)[0].color
    assert (color.matrix, color.primaries, color.transfer) == (9, 9, 16)
    assert color.is_hdr
    assert not color.full_range


# ------------------------------------------------------------------------- interlaced, new sizes


@pytest.mark.parametrize(("name", "codec"), [("tv.mp4", "libx264"), ("tv.ts", "mpeg2video")])
def test_an_interlaced_clip_gives_a_frame_for_each_frame(
    make_clip: MakeClip, name: str, codec: str
) -> None:
    path = make_clip(name, size_hw=(64, 96), codec=codec, interlaced=True)
    assert all(picture.interlaced_frame for picture in decoded(path))
    source = VideoFile(str(path))
    assert times_of(list(source)) == [Fraction(number, 30) for number in range(10)]
    assert any("deinterlaced" in note for note in source.notes)


def test_a_progressive_clip_is_not_deinterlaced(make_clip: MakeClip) -> None:
    source = VideoFile(str(make_clip("film.mp4")))
    list(source)
    assert source.notes == []


def two_sizes(path: Path) -> Path:
    """Five frames of 48 rows, then five of 96, in one broadcast stream."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        second = av.CodecContext.create("libx264", "w")
        second.width, second.height, second.pix_fmt = 128, 96, "yuv420p"
        second.time_base, second.framerate = Fraction(1, 30), Fraction(30)
        packets: list[av.Packet] = []
        for number in range(10):
            encoder = stream.codec_context if number < 5 else second
            frame = av.VideoFrame.from_ndarray(
                np.full((encoder.height, encoder.width, 3), 20 * number, np.uint8), "rgb24"
            ).reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            packets += encoder.encode(frame)
            if number == 4:
                packets += encoder.encode(None)
        packets += second.encode(None)
        for number, packet in enumerate(packets):
            packet.stream, packet.dts = stream, number - 3
            container.mux(packet)
    return path


def test_a_size_that_changes_midway_is_scaled_to_the_first(tmp_path: Path) -> None:
    path = two_sizes(tmp_path / "zap.ts")
    assert {picture.height for picture in decoded(path)} == {48, 96}
    source = VideoFile(str(path))
    frames = list(source)
    assert [frame.size_hw for frame in frames] == [(48, 64)] * 10
    assert [round(float(frame.planes[0].mean())) for frame in frames] == pytest.approx(
        [16 + 20 * number * 219 / 255 for number in range(10)], abs=3
    )
    assert any("size changes" in note for note in source.notes)


# -------------------------------------------------------------------------- which stream, if any


def with_cover(path: Path, *, picture_too: bool, cover_too: bool = True) -> Path:
    """Sound with a cover picture, and a clip behind them if `picture_too`."""
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", 1) if cover_too else None
        if cover is not None:
            cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic
        sound = container.add_stream("aac", 48_000, layout="mono")
        clip = container.add_stream("libx264", 30) if picture_too else None
        if clip is not None:
            clip.width, clip.height, clip.pix_fmt = 64, 48, "yuv420p"
        still = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 99, np.uint8), "rgb24")
        if cover is not None:
            container.mux(cover.encode(still.reformat(format="yuvj420p")))
        for number in range(5):
            wave = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            wave.sample_rate, wave.pts = 48_000, number * 1024
            container.mux(sound.encode(wave))
            if clip is not None:
                black = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")
                black = black.reformat(format="yuv420p")
                black.pts, black.time_base = number, Fraction(1, 30)
                container.mux(clip.encode(black))
        container.mux(sound.encode(None))
        if clip is not None:
            container.mux(clip.encode(None))
    return path


def test_cover_art_is_no_video_stream(tmp_path: Path) -> None:
    both = with_cover(tmp_path / "both.mp4", picture_too=True)
    assert [frame.size_hw for frame in frames_of(both)] == [(48, 64)] * 5
    song = with_cover(tmp_path / "song.mp4", picture_too=False)
    with pytest.raises(StreamError, match=r"song\.mp4.*cover art"):
        VideoFile(str(song))


def test_the_last_frames_come_also_where_the_sound_is_the_first_stream(tmp_path: Path) -> None:
    for name in ("late.mkv", "late.mp4", "late.ts"):
        path = with_cover(tmp_path / name, picture_too=True, cover_too=False)
        with av.open(str(path)) as container:
            assert container.streams[0].type == "audio"
        assert len(frames_of(path)) == 5, name


def test_what_is_no_clip_is_refused_by_name(tmp_path: Path, make_clip: MakeClip) -> None:
    text = tmp_path / "letter.mp4"
    text.write_text("Dear Sir or Madam,\n" * 50)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for path in (text, empty, tmp_path / "gone.mp4", tmp_path):
        with pytest.raises(StreamError, match=path.name):
            VideoFile(str(path))


# ---------------------------------------------------------------------------------------- damage


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def test_a_whole_clip_has_no_losses(make_clip: MakeClip) -> None:
    for name in ("a.mp4", "a.mkv", "a.mov", "a.ts", "a.avi", "a.webm"):
        codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
        source = VideoFile(str(make_clip(name, codec=codec, with_sound=not name.endswith("webm"))))
        assert len(list(source)) == 10
        assert source.losses == [], name


@pytest.mark.parametrize("name", ["short.mp4", "short.mov", "short.mkv"])
def test_a_truncated_clip_delivers_what_is_there_and_says_so(
    make_clip: MakeClip, name: str
) -> None:
    options = {"bf": "0", "g": "5", "qp": "2"}
    path = cut(movable(make_clip, name, options), 0.6)
    source = VideoFile(str(path))
    assert 15 < len(list(source)) < 60
    assert source.losses


def movable(make_clip: MakeClip, name: str, options: dict[str, str]) -> Path:
    """A clip of 60 frames whose index, if it has one, is at the front."""
    path = make_clip(name, pts=list(range(60)), options=options)
    if name.endswith("mkv"):
        return path
    front = path.with_stem("front")
    with (
        av.open(str(path)) as old,
        av.open(str(front), "w", options={"movflags": "faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    return front


@pytest.mark.parametrize("name", ["hurt.mp4", "hurt.mkv", "hurt.ts"])
def test_bytes_damaged_midway_cost_some_frames_and_are_said(make_clip: MakeClip, name: str) -> None:
    path = make_clip(name, pts=list(range(60)), options={"g": "10", "qp": "2"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    noise = np.random.default_rng(1).integers(0, 256, 1500, np.uint8).tobytes()
    data[middle : middle + len(noise)] = noise
    path.write_bytes(data)
    source = VideoFile(str(path))
    frames = list(source)
    assert 30 < len(frames) <= 60
    assert times_of(frames)[-1] == pytest.approx(59 / 30, abs=0.4)  # it went on behind the damage
    assert source.losses


@pytest.mark.parametrize("name", ["hole.mkv", "hole.webm", "hole.ts"])
def test_no_frame_is_lost_without_a_word(make_clip: MakeClip, name: str) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = make_clip(name, pts=list(range(60)), codec=codec, with_sound=codec == "libx264")
    whole, lost = path.read_bytes(), 0
    for seed in range(8):
        random = np.random.default_rng(seed)
        start = int(len(whole) * random.uniform(0.2, 0.8))
        noise = random.integers(0, 256, 400, np.uint8).tobytes()
        path.write_bytes(whole[:start] + noise + whole[start + len(noise) :])
        source = VideoFile(str(path))
        missing = 60 - len(list(source))
        lost += missing
        assert source.losses or not missing, f"{missing} frames, seed {seed}"
    assert lost > 0  # else nothing was tried


def test_close_twice_is_fine(make_clip: MakeClip) -> None:
    source = VideoFile(str(make_clip("twice.mp4")))
    source.close()
    source.close()


def test_the_first_frame_can_be_looked_at_and_still_comes(make_clip: MakeClip) -> None:
    source = VideoFile(str(make_clip("peek.mp4")))
    first = source.first
    frames = list(source)
    assert len(frames) == 10
    assert np.array_equal(first.planes[0], frames[0].planes[0])
    assert first.pts == frames[0].pts


def test_what_the_decoder_still_holds_when_reading_breaks_off_has_a_time(
    make_clip: MakeClip,
) -> None:
    with av.open(str(make_clip("clip.mp4"))) as container:
        times = Times(container, Fraction(1, 30), Fraction(30))
    late = av.VideoFrame(16, 16, "yuv420p")  # without a time base, as a flush may give them
    times.date(late)
    assert (late.pts, late.time_base) == (0, Fraction(1, 30))
