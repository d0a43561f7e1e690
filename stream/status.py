"""The status line of a live run."""

from __future__ import annotations

from stream.control import Settings
from stream.meter import Figures

IDLE = "nobody watches: camera off"


def status(figures: Figures, settings: Settings, dropped: int, states: list[str]) -> str:
    """One line: what is at rest, wrong or recorded, how fast it is, what is behind the person."""
    if not settings.watched:
        states = [IDLE]
    elif settings.paused:
        states = ["paused: camera off"]
    if settings.watched:
        p50, p95 = figures.latency_ms
        states = [*states, f"{figures.fps:.1f} fps", f"latency {p50:.0f}/{p95:.0f} ms"]
    states = [*states, f"dropped {dropped}", settings.background]
    if settings.mirror:
        states.append("mirrored")
    return " · ".join(states)
