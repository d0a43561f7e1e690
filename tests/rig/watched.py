"""run.py under watch: `-m rig.watched LOG live …` notes every frame written, and checks it.

For each frame a line of JSON in LOG: when it was written, how old it was, the checksum of its
planes, its text if it is a stand-in, and how many of its values show the room. --background must
be a color, and so must all in the folder of --backgrounds be. What is written into the file
LOG.background becomes the background, as if a panel had asked for it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import run
import stream.live
from rig.room import checksum, like_the_room, outside_matte
from stream.backgrounds import open_background
from stream.control import LiveControl
from stream.frame import Alpha, Frame


class Watch:
    """Sits in the line in place of the refiner and of the sink, and passes all on to them."""

    def __init__(self, matte: Any, sink: Any, colors: list[str], log: TextIO) -> None:
        self._matte, self._sink, self._log = matte, sink, log
        self._colors = [open_background(color) for color in colors]
        self._own: tuple[int, Alpha] | None = None  # the last matte and the time of its frame
        self._written: tuple[object, Alpha | None] = (), None  # planes and their matte
        self._wish = Path(f"{log.name}.background")

    def refine(self, alpha: Alpha, frame: Frame) -> Alpha:
        """The refiner's matte, kept for when its frame is written."""
        refined = self._matte.refine(alpha, frame)
        self._own = (frame.pts, refined.copy())
        return refined

    def write(self, frame: Frame) -> None:
        """Note it and write it."""
        own = self._own[1] if self._own and self._own[0] == frame.pts else None
        if frame.planes is self._written[0]:  # the composite before, once more
            own = self._written[1]
        self._written = frame.planes, own
        shown = {
            "at_s": time.monotonic(),
            "age_s": (time.monotonic_ns() - frame.captured_ns) / 1e9,
            "crc": checksum(frame.planes),
            "stand_in": frame.stand_in,
            "person": 0.0 if own is None else float(own.mean()),
            # Without a matte nothing but a gray card may lie on the background.
            "room": like_the_room(frame.planes)
            if own is None
            else min(
                outside_matte(frame.planes, color.alone(frame).planes, own)
                for color in self._colors  # while one is loaded, the one before is still shown
            ),
        }
        self._log.write(json.dumps(shown) + "\n")
        self._sink.write(frame)
        if self._wish.exists():
            CONTROLS[-1].change(background=self._wish.read_text())
            self._wish.unlink()

    def __getattr__(self, name: str) -> Any:
        """Whatever else a sink has."""
        return getattr(self._sink, name)


class Control(LiveControl):
    """A control that can be reached."""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        CONTROLS.append(self)


CONTROLS: list[LiveControl] = []


def watching(run_line: Callable[..., int], colors: list[str], log: TextIO) -> Callable[..., int]:
    """The straight line with a watch in it."""

    def run_watched(
        source: Any, segmenter: Any, matte: Any, clean: Any, background: Any, sink: Any, *rest: Any
    ) -> int:
        watch = Watch(matte, sink, colors, log)
        return run_line(source, segmenter, watch, clean, background, watch, *rest)

    return run_watched


def main(path: str, *argv: str) -> int:
    """Run the program with the watch set."""
    colors = [argv[argv.index("--background") + 1]]
    if "--backgrounds" in argv:
        colors += map(str, Path(argv[argv.index("--backgrounds") + 1]).iterdir())
    with Path(path).open("w", buffering=1) as log:
        stream.live.run = watching(stream.live.run, colors, log)
        stream.live.LiveControl = Control  # type: ignore[misc]
        return run.main(list(argv))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
