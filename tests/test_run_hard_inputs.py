"""run.py with words and files that cannot be: one line says so; what can be done is done."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image

import run
from stream.interfaces import Backend

ROOT = Path(run.__file__).parent
MakeClip = Callable[..., Path]
Run = Callable[..., int]


@pytest.fixture
def command(bright_network: Path, engine: Backend, monkeypatch: pytest.MonkeyPatch) -> Run:
    """command("video", word, …) is the exit code of `run.py video word …` with that network."""
    monkeypatch.setattr("stream.main.open_backend", lambda *asked, **how: engine)

    def call(*words: object) -> int:
        return run.main([*map(str, words), "--network", str(bright_network)])

    return call


@pytest.fixture
def refused(command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """refused(word, …) asserts exit 1, one line, nothing new in the folder; the line."""

    def call(*words: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        capsys.readouterr()
        assert command(*words) == 1
        said = one_line(capsys)
        assert sorted(tmp_path.rglob("*")) == before
        return said

    return call


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr().err
    assert said.startswith("run.py: ")
    assert said.count("\n") == 1, f"not one line:\n{said}"
    return said


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def shots(folder: Path, names: list[str], broken: list[str]) -> Path:
    """A folder of pictures, some of them cut short."""
    folder.mkdir()
    for name in names:
        Image.new("RGB", (64, 48), (90, 80, 70)).save(folder / name)
    for name in broken:
        (folder / name).write_bytes((folder / name).read_bytes()[:60])
    return folder


# ----------------------------------------------------------------------------- words that cannot be


@pytest.mark.parametrize(("codec", "side"), [("h265", 38), ("av1", 14)])
@pytest.mark.parametrize("is_flat", [True, False], ids=["flat", "narrow"])
def test_a_picture_too_small_for_a_codec_names_the_file_and_the_flag(
    refused: Callable[..., str],
    make_clip: MakeClip,
    tmp_path: Path,
    codec: str,
    side: int,
    is_flat: bool,
) -> None:
    size_hw = (side, 64) if is_flat else (64, side)
    clip = make_clip("in.mkv", pts=[0, 1], size_hw=size_hw, codec="ffv1")
    said = refused("video", clip, tmp_path / "tiny.mp4", "--codec", codec, "--background", "none")
    assert "tiny.mp4" in said
    assert "--codec" in said


@pytest.mark.parametrize("fps", ["1/0", "abc", "", "nan", "inf", "0", "-5"])
def test_a_rate_that_is_none_is_named(
    refused: Callable[..., str], tmp_path: Path, fps: str
) -> None:
    folder = shots(tmp_path / "shots", ["1.png"], [])
    said = refused("video", folder, tmp_path / "out.mp4", "--fps", fps)
    assert "fps" in said
    assert fps in said


def test_a_rate_of_many_decimals_is_taken(command: Run, tmp_path: Path) -> None:
    folder, output = shots(tmp_path / "shots", ["1.png", "2.png", "3.png"], []), tmp_path / "o.mp4"
    words = ("--background", "none", "--fps", "29.97002997002997")
    assert command("video", folder, output, *words) == 0
    assert frames_in(output) == 3
    with av.open(str(output)) as container:
        rate = container.streams.video[0].average_rate
    assert rate == Fraction(30000, 1001)


# ---------------------------------------------------------------------------------- broken pictures


def test_a_broken_picture_among_three_costs_only_itself(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shots(tmp_path / "in", ["a.png", "b.png", "c.png"], ["b.png"])
    assert command("image", folder, tmp_path / "out") == 1
    assert "b.png" in one_line(capsys)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]
    for path in (tmp_path / "out").iterdir():
        with Image.open(path) as picture:
            picture.load()


def test_only_broken_pictures_make_nothing(refused: Callable[..., str], tmp_path: Path) -> None:
    folder = shots(tmp_path / "in", ["a.png", "b.png"], ["a.png", "b.png"])
    assert "a.png" in refused("image", folder, tmp_path / "out")


def test_a_clip_of_pictures_whose_first_is_broken_plays_the_others(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shots(tmp_path / "shots", ["1.png", "2.png", "3.png"], ["1.png"])
    assert command("video", folder, tmp_path / "out.mp4", "--background", "none") == 1
    assert "1.png" in one_line(capsys)
    assert frames_in(tmp_path / "out.mp4") == 2


@pytest.mark.parametrize("name", ["behind.png", "behind.jpg", "behind.mp4", "behind.csv"])
@pytest.mark.parametrize("what", ["video", "image"])
def test_a_background_that_cannot_be_read_is_named_as_such(
    refused: Callable[..., str], make_clip: MakeClip, tmp_path: Path, name: str, what: str
) -> None:
    behind = tmp_path / name
    if behind.suffix == ".csv":
        behind.write_text("Dear Sir or Madam,\n" * 50)
    elif behind.suffix == ".mp4":
        make_clip(name)
        behind.write_bytes(behind.read_bytes()[:200])
    else:
        Image.effect_noise((64, 48), 90).convert("RGB").save(behind)
        behind.write_bytes(behind.read_bytes()[: behind.stat().st_size // 2])
    source = shots(tmp_path / "in", ["a.png"], [])
    target = tmp_path / ("out.mp4" if what == "video" else "out")
    said = refused(what, source, target, "--background", behind)
    assert str(behind) in said
    assert "no picture or clip that can be read" in said or "whole" in said


# ----------------------------------------------------------------------------------------- folders


def test_pictures_of_a_clip_whose_pixels_are_not_square_have_square_ones(
    command: Run, make_clip: MakeClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip("in.mp4", pts=[0, 1, 2], pixel_aspect=Fraction(3, 2))
    assert command("video", clip, tmp_path / "out", "--background", "none") == 0
    for path in (tmp_path / "out").iterdir():
        with Image.open(path) as picture:
            assert picture.size == (96, 48)
    assert capsys.readouterr().out.count("square pixels") == 1


@pytest.mark.parametrize("word", [".", "./"])
def test_the_folder_one_stands_in_can_be_the_output(
    command: Run, make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    clip, here = make_clip("in.mp4", pts=[0, 1]), tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert command("video", clip, word, "--background", "none") == 0
    assert sorted(path.name for path in here.iterdir()) == ["000001.png", "000002.png"]


# ------------------------------------------------------------------------------- a second Ctrl-C

AGAIN_WHILE_CLOSING = """
import os, signal
from stream.sinks.clip import ClipWriter
finish = ClipWriter.close
def close(self):
    os.kill(os.getpid(), signal.SIGINT)
    finish(self)
    os.kill(os.getpid(), signal.SIGINT)
ClipWriter.close = close
"""


@pytest.mark.parametrize("after_s", [None, 0.02, 0.1], ids=["closing", "20 ms", "100 ms"])
def test_a_second_ctrl_c_spoils_nothing(
    make_clip: MakeClip,
    tmp_path: Path,
    bright_network: Path,
    stop_after_five: str,
    after_s: float | None,
) -> None:
    clip = make_clip("in.mp4", pts=list(range(60)), with_sound=True)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import run\n{stop_after_five}"
    code += AGAIN_WHILE_CLOSING if after_s is None else ""
    code += "sys.exit(run.main(sys.argv[1:]))"
    words = ("video", clip, tmp_path / "out.mp4", "--network", bright_network)
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "five are done\n"
        process.send_signal(signal.SIGINT)
        if after_s is not None:
            time.sleep(after_s)
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.count("\n") == 1, said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.partial.mp4"]
    assert 5 <= frames_in(tmp_path / "out.partial.mp4") < 60


@pytest.mark.parametrize("what", ["video", "image"])
@pytest.mark.parametrize("is_input", [True, False], ids=["input", "output"])
@pytest.mark.parametrize("ending", [".mp4", ".png", ""])
def test_a_name_longer_than_names_can_be_is_refused(
    refused: Callable[..., str],
    make_clip: MakeClip,
    tmp_path: Path,
    what: str,
    is_input: bool,
    ending: str,
) -> None:
    long = tmp_path / ("n" * 300 + ending)
    good = make_clip("in.mp4", pts=[0])
    if what == "image":
        good = tmp_path / "in.png"
        Image.new("RGB", (64, 48)).save(good)
    words = (long, tmp_path / "out") if is_input else (good, long)
    assert "nnn" in refused(what, *words)


@pytest.mark.parametrize("what", ["video", "image"])
def test_a_text_is_no_background(refused: Callable[..., str], tmp_path: Path, what: str) -> None:
    behind = tmp_path / "behind.txt"
    behind.write_text("Dear Sir or Madam,\n" * 50)
    source = shots(tmp_path / "in", ["a.png"], [])
    target = tmp_path / ("out.mp4" if what == "video" else "out")
    assert str(behind) in refused(what, source, target, "--background", behind)


@pytest.mark.parametrize("option", ["--grow", "--feather"])
@pytest.mark.parametrize("px", ["51", "-51", "nan"])
def test_an_edge_that_cannot_be_moved_so_far_is_refused(
    refused: Callable[..., str], make_clip: MakeClip, tmp_path: Path, option: str, px: str
) -> None:
    clip = make_clip("in.mp4", pts=[0])
    assert option[2:] in refused("video", clip, tmp_path / "out.mp4", option, px)
