"""`run.py video` as a user meets it: exit codes, messages, and what lies in the folder after."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import run
from stream.config import ImageConfig, VideosConfig
from stream.staging import Interrupted
from train.data_config import DataConfig

ROOT = Path(run.__file__).parent
MakeClip = Callable[..., Path]
Run = Callable[..., int]


@pytest.fixture
def video(bright_network: Path) -> Run:
    """video(INPUT, OUTPUT, …) is the exit code of `run.py video` with the bright network."""

    def call(*words: object) -> int:
        return run.main(["video", *map(str, words), "--network", str(bright_network)])

    return call


@pytest.fixture
def refused(video: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """refused(INPUT, OUTPUT, …) asserts exit 1, one line, nothing new in the folder; the line."""

    def call(*words: object) -> str:
        before = everything_in(tmp_path)
        capsys.readouterr()
        assert video(*words) == 1
        printed, said = capsys.readouterr()
        assert "Traceback" not in printed + said
        assert said.startswith("run.py: ")
        assert said.count("\n") == 1, f"more than one line:\n{said}"
        assert everything_in(tmp_path) == before
        return said

    return call


def everything_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def shown_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def sound_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


# ------------------------------------------------------------------------------- what is promised


def test_a_clip_keeps_its_frames_their_times_and_its_sound(
    video: Run, make_clip: MakeClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, output = make_clip("in.mp4", with_sound=True), tmp_path / "out.mp4"
    assert video(clip, output) == 0
    assert shown_times(output) == shown_times(clip)
    assert sound_packets(output) == sound_packets(clip)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]
    report, said = capsys.readouterr()
    assert said == ""
    for words in ("out.mp4: 10 frames", "fps", "engine: OpenVINO", "audio 1 (aac): copied"):
        assert words in report


@pytest.mark.parametrize(
    "background",
    ["blur", "blur:4", "#00b140", "green", "picture.png", "behind.mp4", "matte", "none"],
)
@pytest.mark.parametrize("name", ["out.mp4", "out.webm", "out"])
def test_every_background_runs_from_end_to_end(
    video: Run, make_clip: MakeClip, tmp_path: Path, background: str, name: str
) -> None:
    pts = list(range(4))
    clip, output = make_clip("in.mp4", pts=pts), tmp_path / name
    if background == "picture.png":
        Image.new("RGB", (100, 30), (0, 0, 200)).save(tmp_path / background)
    if background == "behind.mp4":
        make_clip(background, pts=[0, 1], size_hw=(32, 96))
    if "." in background:
        background = str(tmp_path / background)
    assert video(clip, output, "--background", background) == 0
    if output.is_dir():
        assert [path.name for path in sorted(output.iterdir())] == [
            f"{number:06}.png" for number in (1, 2, 3, 4)
        ]
    else:
        assert len(shown_times(output)) == 4


@pytest.mark.parametrize("name", ["out.webm", "out.mov", "out"])
def test_transparent_runs_from_end_to_end(
    video: Run, make_clip: MakeClip, tmp_path: Path, name: str
) -> None:
    clip, output = make_clip("in.mp4", pts=[0, 1, 2]), tmp_path / name
    assert video(clip, output, "--background", "transparent") == 0
    if not output.is_dir():
        assert len(shown_times(output)) == 3
        return
    for path in output.iterdir():
        with Image.open(path) as picture:
            assert picture.mode == "RGBA"
            alpha = np.asarray(picture)[..., 3]
        assert alpha.min() < 60 < 180 < alpha.max()  # the dark ground and the bright square


def test_what_is_bright_stays_and_what_is_dark_becomes_the_background(
    video: Run, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip("in.mkv", pts=[0], codec="ffv1", pix_fmt="yuv444p")
    assert video(clip, tmp_path / "out", "--background", "#00b140") == 0
    with Image.open(tmp_path / "out" / "000001.png") as picture:
        shown = np.asarray(picture).astype(int)
    ground, square = shown[40, 60], shown[24, 8]
    assert np.abs(ground - (4, 160, 60)).max() < 14  # 5 of 255 of the dark are left
    assert square[0] > 180  # the square is red-ish, the background has no red


def test_an_alpha_of_1_gives_back_the_very_bits(
    video: Run, tmp_path: Path, make_clip: MakeClip
) -> None:
    clip, output = brightest(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    assert video(clip, output, "--codec", "ffv1", "--background", "#00b140") == 0
    for before, after in zip(lumas(clip), lumas(output), strict=True):
        assert np.array_equal(after[:, 32:], before[:, 32:])  # whiter than white: alpha 1
        assert (after[:, :16] != before[:, :16]).all()  # black: alpha 0


def brightest(path: Path) -> Path:
    """Luma above white, every pixel its own, on the right; black on the left."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(3):
            luma = np.random.default_rng(number).integers(236, 256, (48, 64), np.uint8)
            luma[:, :24] = 16
            frame = av.VideoFrame.from_ndarray(
                np.concatenate([luma, np.full((24, 64), 128, np.uint8)]), "yuv420p"
            )
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def lumas(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray()[: frame.height] for frame in container.decode(video=0)]


def test_a_matte_folder_holds_8_bit_gray_of_the_frames_size(
    video: Run, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip("in.mp4", pts=[0, 1, 2], size_hw=(50, 66), pix_fmt="yuv420p10le")
    assert video(clip, tmp_path / "mattes", "--background", "matte") == 0
    pictures = sorted((tmp_path / "mattes").iterdir())
    assert len(pictures) == 3
    for path in pictures:
        with Image.open(path) as matte:
            assert (matte.mode, matte.size) == ("L", (66, 50))
            assert np.asarray(matte)[40:, :].max() < 20  # dark ground
            assert np.asarray(matte).max() > 180  # bright square


def test_a_folder_of_pictures_is_played_in_natural_order_at_fps(video: Run, tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for place, number in enumerate((2, 7, 10, 11, 100)):  # not from 0, with gaps, no zeros before
        Image.new("RGB", (64, 48), (40 * place,) * 3).save(folder / f"shot{number}.png")
    (folder / "notes.txt").write_text("no picture")
    output = tmp_path / "out.mp4"
    assert video(folder, output, "--background", "none", "--fps", "12.5") == 0
    assert shown_times(output) == [Fraction(number * 2, 25) for number in range(5)]
    levels = [luma.mean() for luma in lumas(output)]
    assert levels == sorted(levels)
    assert levels[-1] - levels[0] > 100


def test_a_folder_of_pictures_plays_at_30_if_nothing_is_said(video: Run, tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (64, 48), (90, 80, 70)).save(folder / f"{number}.jpg")
    assert video(folder, tmp_path / "out.mkv", "--background", "none") == 0
    assert len(shown_times(tmp_path / "out.mkv")) == 3
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].average_rate == 30


def test_a_broken_picture_of_a_folder_is_left_out_and_said(
    video: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (64, 48), (90, 80, 70)).save(folder / f"{number}.png")
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:60])
    assert video(folder, tmp_path / "out.mp4", "--background", "none") == 1
    assert len(shown_times(tmp_path / "out.mp4")) == 3
    assert "2.png" in capsys.readouterr().err


def test_pictures_in_and_pictures_out(video: Run, tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (65, 49), (90, 80, 70)).save(folder / f"{number}.png")
    assert video(folder, tmp_path / "new" / "deep", "--background", "none") == 0
    for path in (tmp_path / "new" / "deep").iterdir():
        with Image.open(path) as picture:
            assert picture.size == (65, 49)
            assert picture.getpixel((30, 20)) == (90, 80, 70)


def test_a_folder_with_a_point_in_its_name_is_a_folder(
    video: Run, make_clip: MakeClip, tmp_path: Path
) -> None:
    (tmp_path / "take.2").mkdir()
    assert video(make_clip("in.mp4", pts=[0, 1]), tmp_path / "take.2") == 0
    assert len(list((tmp_path / "take.2").iterdir())) == 2


def test_a_clip_is_read_from_a_url(video: Run, make_clip: MakeClip, tmp_path: Path) -> None:
    make_clip("in.mp4", with_sound=True)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/in.mp4"
        code = video(url, tmp_path / "out.mp4")
        server.shutdown()
    assert code == 0
    assert len(shown_times(tmp_path / "out.mp4")) == 10
    assert sound_packets(tmp_path / "out.mp4")


def test_force_replaces(video: Run, make_clip: MakeClip, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_text("old")
    assert video(make_clip("in.mp4"), output, "--force") == 0
    assert len(shown_times(output)) == 10


# ------------------------------------------------------------------------------- bad input: exit 1


def test_a_missing_file_is_named(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "gone.mp4" in refused(tmp_path / "gone.mp4", tmp_path / "out.mp4")
    assert "nowhere" in refused("nowhere", tmp_path / "out.mp4")


def test_a_text_file_named_mp4_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("Dear Sir or Madam,\n" * 50)
    assert "letter.mp4" in refused(tmp_path / "letter.mp4", tmp_path / "out.mp4")


def test_an_empty_file_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "empty.mp4" in refused(tmp_path / "empty.mp4", tmp_path / "out.mp4")


def test_a_clip_without_a_picture_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    song = tmp_path / "song.mp4"
    with av.open(str(song), "w") as container:
        stream = container.add_stream("aac", 48_000, layout="mono")
        wave = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        wave.sample_rate = 48_000
        container.mux(stream.encode(wave))
        container.mux(stream.encode(None))
    said = refused(song, tmp_path / "out.mp4")
    assert "song.mp4" in said
    assert "no video" in said or "video stream" in said


@pytest.mark.parametrize("name", ["none.mp4", "none.mkv", "none.avi"])
def test_a_clip_without_a_frame_is_refused(
    refused: Callable[..., str], tmp_path: Path, name: str
) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream("mpeg4", 30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    assert name in refused(tmp_path / name, tmp_path / "out.mp4")


def test_a_frame_too_small_for_its_codec_is_refused(
    refused: Callable[..., str], make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip("in.mkv", size_hw=(2, 2), codec="ffv1")
    said = refused(clip, tmp_path / "tiny.mp4", "--codec", "h265", "--background", "none")
    assert "tiny.mp4" in said


def test_a_folder_that_cannot_be_written_is_refused(
    video: Run, make_clip: MakeClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip("in.mp4", pts=[0, 1])
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):  # root may write anywhere but where the kernel says no
        folder = Path("/proc")
        if not folder.is_dir():
            pytest.skip("needs a folder that root cannot write to")
    for output in (folder / "out.mp4", folder / "out.avi", folder / "pictures"):
        assert video(clip, output) == 1
        said = capsys.readouterr().err
        assert said.startswith("run.py: ")
        assert said.count("\n") == 1
        assert str(output) in said
    assert not list(folder.glob("out*"))


def test_a_missing_output_folder_is_refused(
    refused: Callable[..., str], make_clip: MakeClip, tmp_path: Path
) -> None:
    said = refused(make_clip("in.mp4", pts=[0]), tmp_path / "no" / "such" / "out.mp4")
    assert str(tmp_path / "no" / "such") in said


def test_output_equal_to_input_is_refused(
    refused: Callable[..., str], make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip("in.mp4", pts=[0, 1])
    (tmp_path / "link.mp4").symlink_to(clip)
    for output in (clip, tmp_path / "link.mp4", tmp_path / ".." / tmp_path.name / "in.mp4"):
        assert "in.mp4" in refused(clip, output, "--force") or output.name == "link.mp4"
    folder = tmp_path / "shots"
    folder.mkdir()
    Image.new("RGB", (64, 48)).save(folder / "000001.png")
    assert "shots" in refused(folder, folder, "--force")


def test_an_output_that_exists_is_refused_without_force(
    refused: Callable[..., str], make_clip: MakeClip, tmp_path: Path
) -> None:
    (tmp_path / "out.mp4").write_text("old")
    said = refused(make_clip("in.mp4", pts=[0]), tmp_path / "out.mp4")
    assert "out.mp4" in said
    assert "--force" in said


def test_a_background_that_is_no_picture_is_refused(
    refused: Callable[..., str], make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip("in.mp4", pts=[0])
    (tmp_path / "wall.png").write_text("no picture")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(
        tmp_path / "torn.png"
    )
    (tmp_path / "torn.png").write_bytes((tmp_path / "torn.png").read_bytes()[:3000])
    (tmp_path / "empty.jpg").touch()
    for wall in ("wall.png", "torn.png", "empty.jpg", "gone.png"):
        said = refused(clip, tmp_path / "out.mp4", "--background", tmp_path / wall)
        assert wall in said
    for word in ("grene", "blur:lots", "blur:-1", "blur:0", "#12345z", ""):
        assert repr(word) in refused(clip, tmp_path / "o.mp4", "--background", word) or (
            word.partition(":")[2] in refused(clip, tmp_path / "o.mp4", "--background", word)
        )


def test_an_unknown_codec_is_refused_with_those_that_are_known(
    refused: Callable[..., str], make_clip: MakeClip, tmp_path: Path
) -> None:
    said = refused(make_clip("in.mp4", pts=[0]), tmp_path / "out.mp4", "--codec", "h999")
    assert "h999" in said
    assert "h264" in said


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("out.webm", ["--codec", "h264"], "vp9"),
        ("out.mp4", ["--background", "transparent"], ".webm"),
        ("out.wmv", [], ".mp4"),
        ("out.mp4", ["--quality", "99"], "51"),
        ("out.mov", ["--codec", "prores", "--quality", "9"], "quality"),
        ("out.mp4", ["--fps", "0"], "rate"),
        ("out.mp4", ["--network", "gone.onnx"], "gone.onnx"),
    ],
)
def test_choices_that_cannot_work_name_what_does(
    make_clip: MakeClip,
    tmp_path: Path,
    bright_network: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    words: list[str],
    expected: str,
) -> None:
    clip = make_clip("in.mp4", pts=[0, 1])
    if "--network" not in words:
        words = [*words, "--network", str(bright_network)]
    assert run.main(["video", str(clip), str(tmp_path / name), *words]) == 1
    said = capsys.readouterr().err
    assert said.startswith("run.py: ")
    assert expected in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_wrong_usage_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    incomplete = (["video"], ["video", "in.mp4"], ["image", "in.png"])
    for words in (*incomplete, ["vdeo"], ["video", "a", "b", "--nonsense"]):
        assert run.main(words) == 2, words
        assert capsys.readouterr().err.startswith("run.py: ")


# ----------------------------------------------------------------------------------- damaged input


def test_a_truncated_clip_is_delivered_and_the_loss_said(
    video: Run, make_clip: MakeClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip("in.mkv", pts=list(range(60)), options={"g": "5", "qp": "2"}, with_sound=True)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    output = tmp_path / "out.mp4"
    assert video(clip, output) == 1
    assert 10 < len(shown_times(output)) < 60
    report, said = capsys.readouterr()
    assert "missing" in said or "damaged" in said
    assert "Traceback" not in said
    assert "frames in" in report
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out.mp4"]


# ------------------------------------------------------------------------------ in a process apart


def child(*words: object, before: str = "", **options: object) -> subprocess.Popen[str]:
    """run.py in a process of its own; `before` is Python to run first."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import run\n{before}\n"
    code += "sys.exit(run.main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


def noisy(path: Path, count: int, size_hw: tuple[int, int] = (48, 64)) -> Path:
    """Frames that hardly compress."""
    h, w = size_hw
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 30, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = w, h, "yuv420p"
        random = np.random.default_rng(0)
        for number in range(count):
            rgb = random.integers(0, 256, (h, w, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def said_where_files_may_grow_to(size: int, clip: Path, output: Path, network: Path) -> str:
    """What a run says that fails because no file may be larger than `size` bytes."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size},) * 2)"
    words = ("video", clip, output, "--background", "none", "--network", network)
    process = child(*words, before=limit)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    return said


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "pictures"])
def test_a_full_disk_is_said_and_nothing_is_left(
    tmp_path: Path, bright_network: Path, name: str
) -> None:
    clip = noisy(tmp_path / "in.mp4", 40)
    said = said_where_files_may_grow_to(8000, clip, tmp_path / name, bright_network)
    assert "Traceback" not in said
    assert said.count("\n") == 1, said
    assert name in said
    assert "space" in said
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("name", ["out.mp4"])
def test_a_disk_that_fills_up_at_the_very_end_is_said_too(
    video: Run, tmp_path: Path, bright_network: Path, name: str
) -> None:
    clip, whole = noisy(tmp_path / "in.mp4", 40), tmp_path / f"whole-{name}"
    assert video(clip, whole, "--background", "none") == 0
    room = whole.stat().st_size - 100
    said = said_where_files_may_grow_to(room, clip, tmp_path / name, bright_network)
    assert said.count("\n") == 1, said
    assert not (tmp_path / name).exists()
    assert len(list(tmp_path.iterdir())) == 2


def ignoring_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize(
    ("name", "number", "preexec"),
    [
        ("out.mp4", signal.SIGINT, None),
        ("out.mp4", signal.SIGINT, ignoring_ctrl_c),  # as a script's & starts it
        ("out.mp4", signal.SIGTERM, None),
        ("out.mkv", signal.SIGINT, None),
        ("out.webm", signal.SIGINT, None),
    ],
    ids=["ctrl-c", "ctrl-c though ignored from birth", "terminated", "mkv", "webm"],
)
def test_an_interrupted_clip_is_kept_playable_with_its_sound(
    make_clip: MakeClip,
    tmp_path: Path,
    bright_network: Path,
    name: str,
    number: signal.Signals,
    preexec: Callable[[], None] | None,
    stop_after_five: str,
) -> None:
    clip = make_clip("in.mp4", pts=list(range(60)), with_sound=True)
    process = child(
        "video", clip, tmp_path / name, "--network", bright_network,
        before=stop_after_five, preexec_fn=preexec,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "five are done\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.count("\n") == 1, said
    assert "partial" in said
    kept = [path for path in tmp_path.iterdir() if path != clip]
    assert [path.name for path in kept] == [name.replace("out.", "out.partial.")]
    times = shown_times(kept[0])
    assert 5 <= len(times) < 60
    for place, time_s in enumerate(times):
        assert float(time_s) == pytest.approx(place / 30, abs=0.03)
    with av.open(str(kept[0])) as container:
        heard_s = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    assert heard_s > 0.1


def test_an_interrupted_folder_keeps_its_pictures(
    make_clip: MakeClip, tmp_path: Path, bright_network: Path, stop_after_five: str
) -> None:
    clip = make_clip("in.mp4", pts=list(range(60)))
    process = child(
        "video", clip, tmp_path / "out", "--network", bright_network, before=stop_after_five
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "five are done\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.partial"]
    for path in (tmp_path / "out.partial").iterdir():
        with Image.open(path) as picture:
            picture.load()
    assert len(list((tmp_path / "out.partial").iterdir())) >= 5


@pytest.mark.slow
def test_an_interruption_at_any_moment_leaves_a_playable_file_or_none(
    make_clip: MakeClip, tmp_path: Path, bright_network: Path
) -> None:
    clip = make_clip("in.mp4", pts=list(range(90)), with_sound=True, size_hw=(96, 128))
    # The child interrupts itself after so many calls of Python functions of stream/.
    for calls in (1, 30, 100, 300, 1000, 2000, 3500, 5000, 8000):
        process = child(
            "video", clip, tmp_path / "out.mp4", "--network", bright_network, before=AFTER % calls
        )
        _, said = process.communicate(timeout=60)
        assert "Traceback" not in said, said
        left = [path for path in tmp_path.iterdir() if path != clip]
        assert process.returncode in (0, 130), said
        assert len(left) <= 1, left
        for path in left:
            assert ("partial" in path.name) == (process.returncode == 130)
            assert len(shown_times(path)) >= 1
            path.unlink()


AFTER = """
import os, signal, sys
left = [%d]
def watch(frame, event, argument):
    if event == "call" and "/stream/" in frame.f_code.co_filename:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)
sys.setprofile(watch)
"""


def test_an_interruption_is_a_returned_130_with_a_message(
    video: Run,
    make_clip: MakeClip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*arguments: object) -> None:
        raise Interrupted("what was done is kept in the attic")

    monkeypatch.setattr("stream.many.video", interrupted)
    assert video(make_clip("in.mp4", pts=[0]), tmp_path / "out.mp4") == 130
    assert capsys.readouterr().err == "run.py: what was done is kept in the attic\n"


def test_an_interruption_before_the_first_picture_leaves_nothing(
    make_clip: MakeClip, tmp_path: Path, bright_network: Path
) -> None:
    clip = make_clip("in.mp4", with_sound=True)
    stop = """
import signal
import stream.segmenter
stream.segmenter.Segmenter.segment = lambda self, frame: signal.raise_signal(signal.SIGINT)
"""
    words = ("video", clip, tmp_path / "out.mp4", "--network", bright_network)
    process = child(*words, before=stop)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]  # sound alone is no clip


@pytest.mark.parametrize("name", ["h264.mp4", "vp9.mp4", "av1.mp4", "ffv1.mkv", "prores.mov"])
def test_a_clip_of_one_frame_can_be_written_as_any_codec(
    video: Run, make_clip: MakeClip, tmp_path: Path, name: str
) -> None:
    clip = make_clip("in.mkv", pts=[0], codec="ffv1", size_hw=(64, 64))
    assert video(clip, tmp_path / name, "--codec", name.split(".")[0]) == 0
    assert len(shown_times(tmp_path / name)) == 1


def test_a_clip_of_one_frame_can_be_written_as_h265(tmp_path: Path, bright_network: Path) -> None:
    (tmp_path / "shots").mkdir()
    Image.new("RGB", (64, 48), (90, 80, 70)).save(tmp_path / "shots" / "1.png")
    words = ("video", tmp_path / "shots", tmp_path / "out.mp4", "--codec", "h265")
    # A process of its own: only on its first clip does x265 invent a decoding time.
    process = child(*words, "--network", bright_network)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert len(shown_times(tmp_path / "out.mp4")) == 1


@pytest.mark.parametrize("codec", ["h265", "av1"])
def test_nothing_but_the_report_is_printed(
    make_clip: MakeClip, tmp_path: Path, bright_network: Path, codec: str
) -> None:
    words = ("video", make_clip("in.mp4"), tmp_path / "out.mp4", "--codec", codec)
    process = child(*words, "--network", bright_network)
    report, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert said == ""  # encoders like to write of themselves
    assert report.startswith(str(tmp_path / "out.mp4"))


def test_a_terminal_shows_a_bar_with_frames_and_rate(
    make_clip: MakeClip, tmp_path: Path, bright_network: Path
) -> None:
    clip = make_clip("in.mp4", pts=list(range(40)))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [
            sys.executable, str(ROOT / "run.py"), "video", str(clip), str(tmp_path / "out.mp4"),
            "--network", str(bright_network),
        ],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(timeout=60) == 0
    assert b"40/40" in shown
    assert b"fps" in shown


# ----------------------------------------------------------------------------------- help, imports


@pytest.mark.parametrize(
    ("command", "config"),
    [("video", VideosConfig), ("image", ImageConfig), ("data", DataConfig)],
)
def test_help_explains_every_flag(
    command: str, config: type, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run.main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    for field in fields(config):
        lines = [line for line in shown.splitlines() if named(field.name) in line]
        said = [line.split(named(field.name), 1)[1].split() for line in lines]
        assert any(len(words) >= 4 for words in said), f"no help for {named(field.name)}"


def named(field: str) -> str:
    positional = {"paths": "PATHS"}
    return positional.get(field, f"--{field}")


def test_help_of_the_program_names_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in ("video", "image", "doctor", "data"):
        assert f" {command} " in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("words", [["--help"], ["video", "--help"], ["image", "--help"]])
def test_help_loads_no_heavy_library(words: list[str]) -> None:
    tell = """
import atexit, json
heavy = ("tensorflow", "tensorrt", "cv2", "openvino", "av", "keras", "numpy")
atexit.register(lambda: print("LOADED", json.dumps([m for m in heavy if m in sys.modules])))
"""
    process = child(*words, before=tell)
    shown, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert json.loads(shown.rsplit("LOADED ", 1)[1]) == []


def test_running_never_loads_tensorflow(
    make_clip: MakeClip, tmp_path: Path, bright_network: Path
) -> None:
    tell = """
import atexit
atexit.register(lambda: print("LOADED", [m for m in sys.modules if m in ("tensorflow", "keras")]))
"""
    words = ("video", make_clip("in.mp4", pts=[0, 1, 2]), tmp_path / "o.mp4")
    process = child(*words, "--network", bright_network, before=tell)
    shown, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert shown.endswith("LOADED []\n")


# ------------------------------------------------------------------------------------------ memory


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.mp4"])
def test_memory_stays_flat_over_a_long_clip(
    tmp_path: Path, bright_network: Path, name: str
) -> None:
    peaks_mb = []
    for count in (150, 1500):
        clip = noisy(tmp_path / f"in{count}.mp4", count, (240, 320))
        output = tmp_path / f"{count}-{name}"
        process = child("video", clip, output, "--network", bright_network, before=PEAK)
        shown, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
        assert f"{count} frames" in shown
        peaks_mb.append(int(shown.rsplit("PEAK ", 1)[1]) / 1024)
    # All frames would be 173 MB, all packets of the input some 30 MB.
    assert peaks_mb[1] - peaks_mb[0] < 25, peaks_mb


PEAK = """
import atexit, resource
atexit.register(lambda: print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
"""
