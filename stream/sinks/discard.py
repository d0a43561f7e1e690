"""Discard: keeps nothing of a frame but when it came and how old it was."""

from __future__ import annotations

import time

from stream.frame import Frame


class Discard:
    """A sink for benchmarks; a frame is delivered when it is written."""

    def __init__(self) -> None:
        self.delivered_ns: list[int] = []
        self.ages_ns: list[int] = []  # since it was captured

    def write(self, frame: Frame) -> None:
        """Note the frame's time and age."""
        now_ns = time.monotonic_ns()
        self.delivered_ns.append(now_ns)
        self.ages_ns.append(now_ns - frame.captured_ns)

    def close(self) -> None:
        """Nothing is held."""
