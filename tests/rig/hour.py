"""Inside the guest: a live run that goes on while all around it changes: -m rig.hour MINUTES SEED.

What happens is drawn at random from the seed: the webcam stops and comes back, the reader leaves
and comes, the background changes. What was measured goes to /tmp/out/soak.json; the program's own
log lies beside it.
"""

from __future__ import annotations

import json
import random
import sys
import time
from bisect import bisect
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rig.devices import GREEN, WEBCAM, Player, Program, Reader, captures, wait_until
from rig.stage import GAP_S, WARM_S, Stage, longest_gap

FLATS = {"red": (40, 40, 180), "gray": (120, 120, 120), "yellow": (40, 190, 190)}  # B, G, R
SETTLED_S = 2.0  # after everything is back; then memory and descriptors are counted


class Soak:
    """One run, its events and its measurements."""

    def __init__(self, stage: Stage, seed: int, folder: Path) -> None:
        self._stage, self._random = stage, random.Random(seed)
        self._choices = [GREEN, *map(str, sorted(folder.iterdir()))]
        self._player = stage.play()
        self.program: Program = stage.live("--backgrounds", str(folder))
        self._reader: Reader = stage.read(lambda each: None)
        self.events: list[tuple[float, str]] = []
        self.samples: list[dict[str, float]] = []
        self.found_s: list[float] = []
        self.woke_s: list[float] = []
        self.idle: list[tuple[float, float]] = []
        time.sleep(max(0.0, stage.wait_for_person() + WARM_S - time.monotonic()))
        self._note("the start")

    def warm_up(self) -> None:
        """Have everything happen once: what a first time takes is none of the slope."""
        for background in self._choices:
            self._stage.choose(background)
            time.sleep(1)
        self._cut()
        self._leave()

    def step(self) -> None:
        """Let something happen, see it mended, count what is open."""
        happens = self._random.choice([self._cut, self._leave, self._change])
        happens()
        self._stage.wait_for_person(10, time.monotonic())
        time.sleep(SETTLED_S)
        self.samples.append(
            {
                "at_s": time.monotonic(),
                "memory_mb": self.program.memory_mb(),
                "descriptors": len(self.program.descriptors()),
            }
        )

    def _cut(self) -> None:
        self._note("camera cut")
        self._player.stop()
        wait_until(lambda: not captures(WEBCAM), 5, "the webcam is gone")
        time.sleep(self._random.uniform(0.1, 5))
        self._player = Player("room.avi")
        back_s = time.monotonic()
        self._note("camera back")
        self.found_s.append(longest_gap([back_s, self._stage.wait_for_person(10, back_s)])[0])

    def _leave(self) -> None:
        self._note("reader left")
        left_s = time.monotonic()
        self._reader.stop()
        time.sleep(self._random.uniform(0.1, 6))
        came_s = time.monotonic()
        self._reader = Reader(lambda each: None)
        woke_s = self._stage.wait_for_person(10, came_s)
        self.idle.append((left_s, woke_s))
        self._note("reader back")
        self.woke_s.append(longest_gap([came_s, woke_s])[0])

    def _change(self) -> None:
        self._note("background changed")
        self._stage.choose(self._random.choice(self._choices))

    def _note(self, what: str) -> None:
        self.events.append((time.monotonic(), what))

    def close(self) -> None:
        """End whatever this started itself."""
        self._reader.stop()
        self._player.stop()

    def measured(self) -> dict[str, Any]:
        """The figures of the whole run."""
        written = self._stage.written()
        times_s = [each.at_s for each in self._stage.written(self.events[0][0])]
        gaps_s = [longest_gap(run) for run in self._runs(times_s)]
        return {
            "seconds": times_s[-1] - times_s[0],
            "frames": len(written),
            "stand_ins": sum(each.stand_in is not None for each in written),
            "room_values": sum(each.room for each in written),
            "longest_gap_ms": 1000 * max(own_s for own_s, _ in gaps_s),
            "and_with_standstills_ms": 1000 * max(whole_s for _, whole_s in gaps_s),
            "found_again_s": max(self.found_s, default=None),
            "woke_s": max(self.woke_s, default=None),
            "events": Counter(what for _, what in self.events),
            "long_gaps": self._long_gaps(times_s),
            "samples": self.samples,
            "told": self.program.told,
        }

    def _long_gaps(self, times_s: list[float]) -> list[str]:
        """What happened last before the gaps that are worth a look."""
        told = []
        for run in self._runs(times_s):
            for before, after in pairwise(run):
                if after - before > GAP_S:
                    earlier = (event for event in self.events if event[0] <= after)
                    at_s, what = max(earlier, default=(times_s[0], "the start"))
                    gap_ms = [round(1000 * gap) for gap in longest_gap([before, after])]
                    told.append(
                        f"{gap_ms[0]} of {gap_ms[1]} ms, {before - at_s:.2f} s after {what}"
                    )
        return told

    def _runs(self, times_s: list[float]) -> list[list[float]]:
        """The times in pieces, cut where nobody watched."""
        ends = [bisect(times_s, moment) for idle in self.idle for moment in idle]
        starts_ends = [0, *ends, len(times_s)]
        pieces = zip(starts_ends[::2], starts_ends[1::2], strict=True)
        return [times_s[start:end] for start, end in pieces]


def main(minutes: str, seed: str) -> None:
    """Soak for so long."""
    folder = Path("/tmp/backgrounds")
    folder.mkdir()
    for name, color in FLATS.items():
        cv2.imwrite(str(folder / f"{name}.png"), np.full((90, 160, 3), color, np.uint8))
    with ExitStack() as stack:
        soak = Soak(Stage(stack), int(seed), folder)
        stack.callback(soak.close)
        ends_s = time.monotonic() + 60 * float(minutes)
        soak.warm_up()
        while time.monotonic() < ends_s:
            soak.step()
        code = soak.program.end()
        figures = {"exit_code": code, **soak.measured()}
        Path("/tmp/out/soak.json").write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
