"""What the scenarios share. They run inside the guest: see tests/test_rig.py."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rig.devices import GREEN, VIRTUAL, WEBCAM, Player, Program, Reader, Seen, gaps, wait_until

WORDS = ("--output", VIRTUAL, "--background", GREEN)


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
        self._log = Path("/tmp/written.jsonl")

    def play(self, clip: str = "room.avi", device: str = WEBCAM) -> Player:
        """A webcam that sees the clip."""
        player = Player(clip, device)
        self._stack.callback(player.stop)
        return player

    def live(
        self, *words: str, camera: str = WEBCAM, network: str = "small", shell: str = ""
    ) -> Program:
        """The program under watch, with the room replaced by green."""
        words = ("--camera", camera, "--network", network, *WORDS, *words)
        program = Program(*words, watched=self._log, shell=shell)
        self._stack.callback(program.kill)
        return program

    def read(self, take: Callable[[Seen], None] | None = None) -> Reader:
        """A program that reads the virtual camera."""
        reader = Reader(take)
        self._stack.callback(reader.stop)
        return reader

    def written(self, since_s: float = 0.0) -> list[Written]:
        """All that the watch noted since."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        noted = []
        for line in lines:
            try:
                noted.append(Written(**json.loads(line)))
            except ValueError:  # the last one, half written
                break
        return [each for each in noted if each.at_s >= since_s]

    def wait_for(
        self, wanted: Callable[[Written], bool], seconds: float, what: str, since_s: float = 0.0
    ) -> float:
        """Wait for a frame of a kind; when it was written."""
        found: list[Written] = []

        def came() -> bool:
            found[:] = [each for each in self.written(since_s) if wanted(each)][:1]
            return bool(found)

        wait_until(came, seconds, what)
        return found[0].at_s

    def wait_for_person(self, seconds: float = 30, since_s: float = 0.0) -> float:
        """Wait for a frame with a person in it; when it was written."""
        return self.wait_for(lambda each: each.person > 0.02, seconds, "a person", since_s)

    def check(self, since_s: float = 0.0, gap_s: float = 0.1) -> dict[str, Any]:
        """No room was shown and no gap was longer; what was measured."""
        written = self.written(since_s)
        room = sum(each.room for each in written)
        longest_s = max(gaps([each.at_s for each in written]), default=0.0)
        ages = sorted(each.age_s for each in written if each.stand_in is None)
        figures = {
            "frames": len(written),
            "stand_ins": sum(each.stand_in is not None for each in written),
            "room_values": room,
            "longest_gap_ms": round(1000 * longest_s),
            "age_p50_ms": round(1000 * ages[len(ages) // 2]) if ages else None,
        }
        assert room == 0, figures
        assert longest_s <= gap_s, figures
        return figures


@pytest.fixture
def stage() -> Iterator[Stage]:
    """An empty stage."""
    with ExitStack() as stack:
        yield Stage(stack)


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[..., None]:
    """note(name=figure) hands figures to the machine that booted the guest."""

    def write(**figures: Any) -> None:
        with Path("/tmp/out/figures.jsonl").open("a") as out:
            out.write(json.dumps({"scenario": request.node.name, **figures}) + "\n")

    return write


@pytest.fixture
def pause() -> Callable[[float], None]:
    """Let real devices run for so long; that is what is measured, nothing is awaited by it."""
    return time.sleep
