"""Notes when the whole guest stands still: `-m rig.metronome FILE`, the first in the guest's queue.

It sleeps and looks at the time. What makes it late, with the highest priority, is none of the
program's doing: the machine below is busy, or the guest's kernel, which moves a page at a twentieth
of the usual speed and cannot be interrupted.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

BEAT_S, LATE_S = 0.005, 0.01


def main(path: str) -> None:
    """A line for each standstill: when it began and when it ended, by time.monotonic()."""
    os.nice(-20)
    with Path(path).open("a", buffering=1) as out:
        before_s = time.monotonic()
        while True:
            time.sleep(BEAT_S)
            now_s = time.monotonic()
            if now_s - before_s > LATE_S:
                out.write(f"{before_s + BEAT_S} {now_s}\n")
            before_s = now_s


if __name__ == "__main__":
    main(*sys.argv[1:])
