"""A recording of a call: never in the call's way, playable whatever happens to it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from stream import StreamError
from stream.frame import ColorTags, Frame, Matrix, Primaries, Transfer
from stream.sinks import recorder
from stream.sinks.recorder import Recorder

MakeFrame = Callable[..., Frame]
BT601 = ColorTags(Matrix.SMPTE170M, False, Primaries.SMPTE170M, Transfer.SMPTE170M)
MICROSECONDS = Fraction(1, 1_000_000)
RATE = Fraction(30)


@pytest.fixture
def live(make_frame: MakeFrame) -> Callable[[int], Frame]:
    """live(pts) is a frame as a call has it, at so many microseconds."""
    noise = make_frame(size_hw=(48, 64), color=BT601, time_base=MICROSECONDS)
    return lambda pts: replace(noise, pts=pts)


def played(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
def test_frames_keep_their_own_times(tmp_path: Path, live, suffix: str) -> None:
    path = tmp_path / f"call{suffix}"
    times = [7_000_000, 7_030_000, 7_101_000, 9_000_000, 9_033_000]
    sink = Recorder(path, live(0), rate=RATE)
    for pts in times:
        sink.write(live(pts))
    sink.close()
    shown = [float(at) for at in played(path)]
    assert shown == pytest.approx([(pts - times[0]) / 1e6 for pts in times], abs=0.001)
    assert list(tmp_path.iterdir()) == [path]
    assert sink.failed is None
    assert sink.notes == [f"{path}: picture only, no sound"]


def test_the_colors_are_tagged(tmp_path: Path, live) -> None:
    sink = Recorder(tmp_path / "call.mp4", live(0), rate=RATE)
    sink.write(live(0))
    sink.close()
    with av.open(str(tmp_path / "call.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (Matrix.SMPTE170M, 1)


def test_while_it_is_written_it_is_called_partial(tmp_path: Path, live) -> None:
    sink = Recorder(tmp_path / "call.mp4", live(0), rate=RATE)
    assert [path.name for path in tmp_path.iterdir()] == ["call.partial.mp4"]
    sink.write(live(0))
    sink.close()
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["call.mp4"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_without_a_frame_nothing_is_left_and_nothing_replaced(
    tmp_path: Path, live, suffix: str
) -> None:
    path = tmp_path / f"call{suffix}"
    path.write_text("old")
    sink = Recorder(path, live(0), rate=RATE, force=True)
    sink.close()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    assert "nothing is recorded" in sink.notes[-1]


@pytest.mark.parametrize("step_us", [33_333, 100_000, 700_000])
def test_the_last_frame_is_shown_at_any_pace(tmp_path: Path, live, step_us: int) -> None:
    sink = Recorder(tmp_path / "call.mp4", live(0), rate=RATE)
    for number in range(15):
        sink.write(live(number * step_us))
    sink.close()
    assert [round(at * 1_000_000) for at in played(tmp_path / "call.mp4")] == [
        number * step_us for number in range(15)
    ]


class Slow:
    """Plays ClipWriter: writes one frame for each time that it is let go on."""

    def __init__(self, place: Path, *_: object, **__: object) -> None:
        self.written: list[int] = []
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        place.touch()
        Slow.last = self

    def write(self, frame: Frame) -> None:
        self.begun.release()
        assert self.go_on.acquire(timeout=10)
        self.written.append(frame.pts)

    def close(self) -> None:
        """Nothing is held."""


def test_a_slow_encoder_drops_and_counts_and_never_stalls(
    tmp_path: Path, live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "ClipWriter", Slow)
    sink = Recorder(tmp_path / "call.mp4", live(0), rate=RATE)
    sink.write(live(0))
    assert Slow.last.begun.acquire(timeout=10)  # the encoder has that one and is stuck in it
    for number in range(1, 101):
        sink.write(live(number * 33_333))  # would wait for ever if it waited
    assert sink.dropped == 100 - 15  # half a second at 30 fps waits
    Slow.last.go_on.release(100)
    sink.close()
    assert Slow.last.written == [number * 33_333 for number in range(16)]
    assert len(Slow.last.written) + sink.dropped == 101
    assert f"{tmp_path / 'call.mp4'}: 85 frames left out, no time to encode" in sink.notes


def test_a_time_that_goes_back_is_left_out(tmp_path: Path, live) -> None:
    sink = Recorder(tmp_path / "call.mkv", live(0), rate=RATE)
    for pts in (100_000, 140_000, 140_000, 90_000, 180_000):
        sink.write(live(pts))
    sink.close()
    assert [float(at) for at in played(tmp_path / "call.mkv")] == [0, 0.04, 0.08]
    assert (sink.dropped, sink.failed) == (2, None)


class Full(Slow):
    """Plays ClipWriter on a disk that is full at the third frame."""

    def write(self, frame: Frame) -> None:
        self.written.append(frame.pts)
        if len(self.written) == 3:
            raise StreamError("cannot write call: No space left on device: free some space")


def test_a_full_disk_ends_the_recording_alone(
    tmp_path: Path, live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "ClipWriter", Full)
    sink = Recorder(tmp_path / "call.mp4", live(0), rate=RATE)
    for number in range(3):
        sink.write(live(number * 33_333))
    with pytest.raises(StreamError, match=r"No space left.*call\.partial\.mp4"):
        for number in range(3, 10_000_000):
            sink.write(live(number * 33_333))
    sink.close()
    sink.close()
    assert sink.failed is not None
    assert sink.notes[-1] == sink.failed
    assert [path.name for path in tmp_path.iterdir()] == ["call.partial.mp4"]


def test_a_failure_that_no_frame_met_is_in_the_notes(
    tmp_path: Path, live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(writer: Slow) -> None:
        raise StreamError("cannot write call: No space left on device: free some space")

    monkeypatch.setattr(recorder, "ClipWriter", Slow)
    monkeypatch.setattr(Slow, "close", full)
    sink = Recorder(tmp_path / "call.mp4", live(0), rate=RATE)
    sink.close()
    assert sink.failed is not None
    assert sink.notes[-1] == sink.failed
    assert [path.name for path in tmp_path.iterdir()] == ["call.partial.mp4"]


def test_a_bug_keeps_its_traceback(tmp_path: Path, live, monkeypatch: pytest.MonkeyPatch) -> None:
    def buggy(writer: Slow, frame: Frame) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(recorder, "ClipWriter", Slow)
    monkeypatch.setattr(Slow, "write", buggy)
    sink = Recorder(tmp_path / "call.mp4", live(0), rate=RATE)
    sink.write(live(0))
    with pytest.raises(ZeroDivisionError):
        sink.close()


def test_what_cannot_be_written_is_said_at_once(tmp_path: Path, live) -> None:
    with pytest.raises(StreamError, match="make it first"):
        Recorder(tmp_path / "no" / "call.mp4", live(0), rate=RATE)
    with pytest.raises(StreamError, match=r"end the name with \.mp4"):
        Recorder(tmp_path / "call.avi", live(0), rate=RATE)
    assert list(tmp_path.iterdir()) == []


def test_an_old_recording_is_replaced_only_with_force(tmp_path: Path, live) -> None:
    path = tmp_path / "call.mp4"
    path.write_text("old")
    with pytest.raises(StreamError, match="--force"):
        Recorder(path, live(0), rate=RATE)
    sink = Recorder(path, live(0), rate=RATE, force=True)
    sink.write(live(0))
    assert path.read_text() == "old"
    sink.close()
    assert len(played(path)) == 1


KILLED = """
import os, signal, sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
import numpy as np
from stream.frame import ColorTags, Frame
from stream.sinks.recorder import Recorder

rng = np.random.default_rng(0)
planes = tuple(rng.integers(0, 255, hw, np.uint8) for hw in ((48, 64), (24, 32), (24, 32)))
like = Frame(planes, "yuv420p", ColorTags(6, False, 6, 6), 0, Fraction(1, 1_000_000), 0)
sink = Recorder(Path(sys.argv[1]), like, rate=Fraction(30))
for number in range(150):
    sink._queue.put(replace(like, pts=number * 33_333))  # waits: all of five seconds are encoded
while sink._queue.qsize():
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system with SIGKILL")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_killed_recording_plays_from_its_start_nearly_to_its_end(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"call{suffix}"
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], cwd=Path(__file__).parent.parent
    )
    assert ran.returncode == -signal.SIGKILL
    times = played(tmp_path / f"call.partial{suffix}")
    assert times[0] == 0
    assert times[-1] > 3  # of five seconds: the encoder looks ahead, the file is cut in halves
    assert len(times) == pytest.approx(float(times[-1]) * 30 + 1, abs=1)


def test_the_state_counts_seconds(live: Callable[[int], Frame], tmp_path: Path) -> None:
    recording = Recorder(tmp_path / "call.mp4", live(0), rate=RATE)
    assert recording.state == "recording 0:00"
    for second in (7, 40, 76):
        recording.write(live(second * 1_000_000))
    recording.close()
    assert recording.state == "recording 1:09"
