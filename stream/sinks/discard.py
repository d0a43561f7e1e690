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

    def seconds(self, first: int, last: int) -> float:
        """From when so many frames had come to when so many had."""
        return (self.delivered_ns[last - 1] - self.delivered_ns[first - 1]) / 1e9

    def ages_ms(self, first: int, last: int) -> list[float]:
        """Of those that came between."""
        return [age_ns / 1e6 for age_ns in self.ages_ns[first:last]]

    def close(self) -> None:
        """Nothing is held."""
