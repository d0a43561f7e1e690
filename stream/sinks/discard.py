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

    def seconds_after(self, frames: int) -> float:
        """From when so many had come to when the last one came."""
        return (self.delivered_ns[-1] - self.delivered_ns[frames - 1]) / 1e9

    def ages_ms_after(self, frames: int) -> list[float]:
        """Of all but the first so many."""
        return [age_ns / 1e6 for age_ns in self.ages_ns[frames:]]

    def close(self) -> None:
        """Nothing is held."""
