"""What a scenario plays with inside the guest: a webcam, the program, those who read it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream.v4l2 import device_at, format_of

ROOT = Path(__file__).parent.parent.parent
MODULES = Path(os.environ.get("RIG_MODULES", "."))
CLIPS = Path("/tmp/out/clips")
VIVID, WEBCAM, VIRTUAL = "/dev/video0", "/dev/video9", "/dev/video10"
GREEN = "#00b140"


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until something holds; how long it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - began


class Player:
    """A clip that plays into a loopback device over and over, which makes that a webcam."""

    def __init__(self, clip: str, device: str = WEBCAM, codec: tuple[str, ...] = ("copy",)) -> None:
        """`codec`: copy, for a clip in MJPG, or rawvideo -pix_fmt yuyv422."""
        feed = ["-re", "-stream_loop", "-1", "-i", str(CLIPS / clip), "-an", "-c:v", *codec]
        self._process = subprocess.Popen(
            ["ffmpeg", "-nostdin", "-v", "error", *feed, "-f", "v4l2", device],
        )
        try:
            wait_until(lambda: captures(device), 20, f"{clip} plays on {device}")
        except AssertionError:
            self.stop()
            raise

    def stop(self) -> None:
        """The cable comes off."""
        self._process.kill()
        self._process.wait()


def captures(path: str) -> bool:
    """Whether the device is a webcam now."""
    device = device_at(path)
    return device is not None and device.captures


def plug(*devices: str, number: int = 0) -> None:
    """Plug `webcam` (vivid) or `loopback` in."""
    environment = os.environ | {"WEBCAM_NUMBER": str(number)}
    subprocess.run([Path(__file__).parent / "plug", *devices], check=True, env=environment)


def renew_loopbacks(driver: str = "loopback") -> None:
    """As after a start of the machine; `old-loopback` cannot tell who reads it."""
    unload("v4l2loopback")
    plug(driver)


def unplug_vivid() -> None:
    """Take vivid away from under whoever reads it."""
    Path("/sys/bus/platform/drivers/vivid/unbind").write_text("vivid.0")


def unload(module: str, seconds: float = 10) -> None:
    """Unload a driver, as soon as nobody uses it."""
    command = ["rmmod", module]
    wait_until(
        lambda: subprocess.run(command, capture_output=True).returncode == 0,
        seconds,
        f"nobody uses {module}",
    )


def press(control: str, device: str = VIVID) -> None:
    """Press one of vivid's buttons, which inject errors, or set a control."""
    setting = control if "=" in control else f"{control}=1"
    subprocess.run(["v4l2-ctl", "-d", device, "--set-ctrl", setting], check=True)


@dataclass(frozen=True)
class Seen:
    """A picture as a reader got it."""

    at_s: float  # time.monotonic() when it was written into the device, by its driver
    raw: bytes  # I420
    size_hw: tuple[int, int]

    @property
    def planes(self) -> tuple[NDArray[np.uint8], ...]:
        """Y, U and V."""
        h, w = self.size_hw
        values = np.frombuffer(self.raw, np.uint8)
        chroma = values[h * w :].reshape(2, h // 2, w // 2)
        return values[: h * w].reshape(h, w), chroma[0], chroma[1]


class Reader:
    """v4l2-ctl, which streams from the virtual camera; its pictures are handed on as they come."""

    def __init__(
        self, take: Callable[[Seen], None] | None = None, device: str = VIRTUAL, buffers: int = 4
    ) -> None:
        """Waits for the camera to appear; `take` is called on a thread of the reader's."""
        wait_until(lambda: captures(device), 60, f"{device} is a camera")
        self.seen: list[Seen] = []
        self.times_s: list[float] = []
        self._take = take or self.seen.append
        self.began_s = time.monotonic()
        self._process = subprocess.Popen(
            [
                *("v4l2-ctl", "-d", device, f"--stream-mmap={buffers}"),
                *("--stream-to=-", "--verbose"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.size_hw = format_of(device).size_hw
        fourcc = format_of(device).fourcc
        assert fourcc == "YU12", f"{device} has {fourcc}"
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def wait_for(self, count: int, seconds: float = 30) -> None:
        """Wait until so many pictures were seen."""
        wait_until(lambda: len(self.times_s) >= count, seconds, f"{count} pictures read")

    def stop(self) -> None:
        """Leave, as a program that is closed does."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    @property
    def longest_gap_s(self) -> float:
        """The longest time between two pictures."""
        return max(gaps(self.times_s), default=0.0)

    def _follow(self) -> None:
        h, w = self.size_hw
        assert self._process.stdout is not None
        times = self._times()
        while len(raw := self._process.stdout.read(h * w * 3 // 2)) == h * w * 3 // 2:
            if (at_s := next(times, None)) is None:  # it was stopped in between
                return
            self._take(Seen(at_s, raw, self.size_hw))
            self.times_s.append(at_s)

    def _times(self) -> Iterator[float]:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if match := re.search(rb"bytesused: [1-9]\d* ts: ([\d.]+)", line):
                yield float(match[1])


def gaps(times_s: list[float]) -> list[float]:
    """The times between one and the next."""
    return [after - before for before, after in pairwise(times_s)]


class Program:
    """`run.py live`, as a user starts it."""

    def __init__(
        self,
        *words: str,
        watched: Path | None = None,
        shell: str = "",
        terminal: bool = False,
    ) -> None:
        """`watched`: under watched.py, which logs every frame there; `shell`: started by it;
        `terminal`: keys can be typed, else there is no standard input."""
        start = [str(ROOT / "run.py")] if watched is None else ["-m", "rig.watched", str(watched)]
        command = [sys.executable, *start, "live", *words]
        if shell:
            command = ["bash", "-c", shell, "bash", *command]
        if terminal:
            command = ["setsid", "--ctty", *command]
        number = len(list(Path("/tmp/out").glob("live-*.txt")))
        self.log = Path(f"/tmp/out/live-{number}.txt")
        self._keyboard, keys = (
            os.openpty() if terminal else (None, os.open(os.devnull, os.O_RDONLY))
        )
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=keys, stdout=log, stderr=log, cwd="/tmp"
            )
        os.close(keys)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def told(self) -> str:
        """What it said so far."""
        return self.log.read_text("utf-8", "replace")

    def wait_for(self, words: str, seconds: float = 60) -> float:
        """Wait until it says something; how long that took."""

        def said() -> bool:
            assert self.alive or words in self.told, self.told
            return words in self.told

        return wait_until(said, seconds, f"{words!r} in {self.told!r}")

    def type(self, keys: str) -> None:
        """Type on its terminal."""
        assert self._keyboard is not None
        os.write(self._keyboard, keys.encode())

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGINT, seconds: float = 10) -> int:
        """End it, if it has not ended; its exit code."""
        if self.alive:
            self.send(number)
        return self.wait(seconds)

    def kill(self) -> None:
        """End it at once, without a chance to tidy up."""
        self._process.kill()
        self._process.wait()

    def wait(self, seconds: float = 10) -> int:
        """Wait for its end; its exit code."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end within {seconds} s: {self.told}") from None

    def cpu_s(self) -> float:
        """Processor time that it took so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def holds(self, device: str) -> bool:
        """Whether it has a descriptor on the device."""
        return device in self.descriptors()

    def descriptors(self) -> list[str]:
        """All that it has open."""
        found = []
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                found.append(str(link.readlink()))
            except OSError:  # closed meanwhile
                continue
        return found

    def memory_mb(self) -> float:
        """Memory of its own."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()
        return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE") / 1e6
