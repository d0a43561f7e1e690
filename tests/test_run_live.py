"""`run.py live` as a user meets it, where no device is needed: a clip as camera, a recording."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

import run

ROOT = Path(run.__file__).parent
HAS_DEVICES = any(Path("/dev").glob("video*"))
MakeClip = Callable[..., Path]


@pytest.fixture
def start(bright_network: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """start(words…) is a live run whose first line of standard error was read: it runs."""
    begun: list[subprocess.Popen] = []

    def call(*words: object, **how: object) -> subprocess.Popen:
        line = [sys.executable, "run.py", "live", *map(str, words), "--network", bright_network]
        process = subprocess.Popen(
            line, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, **how,
        )  # fmt: skip
        begun.append(process)
        assert process.stderr is not None
        process.opening = process.stderr.readline()
        return process

    yield call
    for process in begun:
        process.kill()
        process.communicate()


def wait_for(path: Path, size: int) -> None:
    """Until so much is written: frames were carried."""
    deadline_s = time.monotonic() + 60
    while not path.exists() or path.stat().st_size <= size:
        assert time.monotonic() < deadline_s, f"{path} has not grown beyond {size} bytes"
        time.sleep(0.02)


def lumas(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly_and_the_recording_is_whole(
    start, make_clip: MakeClip, tmp_path: Path, number: signal.Signals
) -> None:
    clip, out = make_clip("camera.mp4", size_hw=(96, 128)), tmp_path / "call.mp4"
    process = start("--camera", clip, "--output", out, "--background", "#000000")
    assert "128×96" in process.opening and "Ctrl-C" in process.opening
    wait_for(tmp_path / "call.partial.mp4", 2000)
    process.send_signal(number)
    printed, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "frames in" in printed and "latency" in printed and "picture only" in printed
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.glob("call*")] == ["call.mp4"]
    frames = lumas(out)
    assert len(frames) >= 2
    assert frames[0].max() < 24, "the first picture is the background alone"
    assert frames[-1].max() > 150, "then there is the bright square"


def test_sigint_ends_it_also_where_a_script_made_it_deaf(start, make_clip, tmp_path) -> None:
    clip, out = make_clip("camera.mp4", size_hw=(96, 128)), tmp_path / "call.mkv"
    deaf = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    process = start("--camera", clip, "--output", out, **deaf)
    wait_for(tmp_path / "call.partial.mkv", 2000)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0 and out.exists()


def test_a_matte_lies_on_its_own_frame_only(start, make_clip, tmp_path) -> None:
    clip, out = make_clip("camera.mp4", size_hw=(96, 128)), tmp_path / "call.mp4"
    process = start("--camera", clip, "--output", out, "--background", "#000000")
    wait_for(tmp_path / "call.partial.mp4", 12_000)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    for number, frame in enumerate(lumas(out)):
        square = (frame > 100).sum()
        # The matte of another moment would cut the square, or add a piece of its old place.
        assert square == 0 or 33 * 33 * 0.8 <= square <= 33 * 33 * 1.2, f"frame {number}: {square}"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--size", "1280"), "1280x720"),
        (("--size", "0x720"), "1280x720"),
        (("--size", "641x480"), "even"),
        (("--fps", "0"), "0 fps"),
        (("--fps", "nan"), "nan fps"),
        (("--background", "transparent"), "transparent"),
        (("--background", "none-such.png"), "none-such.png"),
        (("--backgrounds", "none-such"), "none-such"),
        (("--grow", "99"), "99"),
        (("--network", "none-such.onnx"), "none-such.onnx"),
        (("--output", "none-such/call.mp4"), "none-such"),
        (("--camera", "none-such.mp4"), "none-such.mp4"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    make_clip: MakeClip, tmp_path: Path, capsys, words, expected
) -> None:
    camera = () if "--camera" in words else ("--camera", str(make_clip("camera.mp4")))
    output = () if "--output" in words else ("--output", str(tmp_path / "call.mp4"))
    assert run.main(["live", *camera, *output, *words]) == 1
    said = capsys.readouterr().err
    assert said.startswith("run.py: ") and expected in said and said.count("\n") == 1
    assert not list(tmp_path.glob("call*"))


def test_a_recording_is_replaced_only_when_told(make_clip: MakeClip, tmp_path, capsys) -> None:
    out = tmp_path / "call.mp4"
    out.write_bytes(b"mine")
    assert run.main(["live", "--camera", str(make_clip("c.mp4")), "--output", str(out)]) == 1
    assert "--force" in capsys.readouterr().err and out.read_bytes() == b"mine"


@pytest.mark.skipif(HAS_DEVICES, reason="this machine has video devices; the rig tests those")
def test_without_devices_the_next_step_is_told(make_clip: MakeClip, tmp_path, capsys) -> None:
    assert run.main(["live", "--output", str(tmp_path / "call.mp4")]) == 1
    assert "cannot find a camera" in capsys.readouterr().err
    assert run.main(["live", "--camera", str(make_clip("c.mp4"))]) == 1
    said = capsys.readouterr().err
    assert "virtual camera" in said and "modprobe" in said if sys.platform == "linux" else said
