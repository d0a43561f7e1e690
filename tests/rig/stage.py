"""The stage of a scenario: starts webcams, the program and its readers, and what was written."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from bisect import bisect
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rig.devices import GREEN, VIRTUAL, WEBCAM, Player, Program, Reader, Seen, wait_until

WORDS = ("--output", VIRTUAL, "--background", GREEN)
WARM_S = 1.0  # after the first picture
GAP_S = 0.1  # the longest between two frames, on a machine that does nothing else
STALL_S = 1.0  # a busy machine misses that; an output that waits for something, this as well
STANDSTILLS = Path("/tmp/standstills")


@dataclass(frozen=True)
class Written:
    """What the watch noted of a frame: see watched.py."""

    at_s: float
    age_s: float
    crc: int
    stand_in: str | None
    person: float
    room: int


class Stage:
    """Starts what a scenario needs and ends all of it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._program: Program  # started last
        self._log = Path()
        self._read_to = 0
        self._written: list[Written] = []
        metronome = subprocess.Popen([sys.executable, "-m", "rig.metronome", str(STANDSTILLS)])
        stack.callback(metronome.wait)
        stack.callback(metronome.kill)
        wait_until(STANDSTILLS.exists, 10, "the metronome beats")

    def play(self, clip: str = "room.avi", device: str = WEBCAM) -> Player:
        """A webcam that sees the clip."""
        player = Player(clip, device)
        self._stack.callback(player.stop)
        return player

    def live(
        self,
        *words: str,
        camera: str = WEBCAM,
        network: str = "small",
        shell: str = "",
        terminal: bool = False,
    ) -> Program:
        """The program under watch, with the room replaced by green."""
        self._show_no_room()  # so far
        self._log = Path(f"/tmp/written-{time.monotonic_ns()}.jsonl")
        self._read_to, self._written = 0, []
        words = ("--camera", camera, "--network", network, *WORDS, *words)
        self._program = Program(*words, watched=self._log, shell=shell, terminal=terminal)
        self._stack.callback(self._program.kill)
        return self._program

    def read(self, take: Callable[[Seen], None] | None = None) -> Reader:
        """A program that reads the virtual camera."""
        reader = Reader(take)
        self._stack.callback(reader.stop)
        return reader

    def choose(self, background: str) -> None:
        """Ask for another background, as a panel would."""
        wish = Path("/tmp/wish")
        wish.write_text(background)
        wish.rename(f"{self._log}.background")

    def written(self, since_s: float = 0.0) -> list[Written]:
        """All that the watch noted since, of the program that was started last."""
        if self._log.is_file():
            with self._log.open() as log:
                log.seek(self._read_to)
                for line in iter(log.readline, ""):
                    if not line.endswith("\n"):  # half written
                        break
                    self._read_to += len(line)
                    self._written.append(Written(**json.loads(line)))
        first = bisect(self._written, since_s, key=lambda each: each.at_s)
        return self._written[first:]

    def wait_for(
        self, wanted: Callable[[Written], bool], seconds: float, what: str, since_s: float = 0.0
    ) -> float:
        """Wait for a frame of a kind; when it was written."""
        found: list[Written] = []

        def came() -> bool:
            found[:] = [each for each in self.written(since_s) if wanted(each)][:1]
            assert found or self._program.alive, self._program.told
            return bool(found)

        wait_until(came, seconds, what)
        return found[0].at_s

    def wait_for_person(self, seconds: float = 30, since_s: float = 0.0) -> float:
        """Wait for a frame with a person in it; when it was written."""
        return self.wait_for(lambda each: each.person > 0.02, seconds, "a person", since_s)

    def check(self, since_s: float | None = None) -> dict[str, Any]:
        """No room was shown and, since then or since all was warm, nothing stalled; figures."""
        room = self._show_no_room()
        shown = [each.at_s for each in self._written if each.stand_in is None]
        written = self.written(shown[0] + WARM_S if since_s is None else since_s)
        ages = sorted(each.age_s for each in written if each.stand_in is None)
        own_s, whole_s = longest_gap([each.at_s for each in written])
        figures = {
            "frames": len(self._written),
            "stand_ins": len(self._written) - len(shown),
            "room_values": room,
            "longest_gap_ms": round(1000 * own_s),
            "and_with_standstills_ms": round(1000 * whole_s),
            "age_p50_ms": round(1000 * ages[len(ages) // 2]) if ages else None,
        }
        assert own_s <= STALL_S, figures
        return figures

    def _show_no_room(self) -> int:
        shows = [(number, each.room) for number, each in enumerate(self.written()) if each.room]
        assert not shows, f"frames that show the room, and how much of it: {shows[:20]}"
        return len(shows)


def longest_gap(times_s: list[float]) -> tuple[float, float]:
    """The longest time between one and the next, without the guest's standstills; and with them."""
    lines = STANDSTILLS.read_text().splitlines()
    standstills = [tuple(map(float, line.split())) for line in lines]
    own_s = whole_s = 0.0
    for before, after in pairwise(times_s):
        whole_s = max(whole_s, after - before)
        if after - before > own_s:
            lost = (min(after, ended) - max(before, began) for began, ended in standstills)
            own_s = max(own_s, after - before - sum(part for part in lost if part > 0))
    return own_s, whole_s
