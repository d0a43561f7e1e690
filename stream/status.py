"""The status line of a live run."""

from __future__ import annotations

from stream.control import Settings
from stream.meter import Figures

IDLE = "nobody watches: camera off"


def status(figures: Figures, settings: Settings, dropped: int, trouble: str) -> str:
    """One line: what is wrong or at rest, how fast it is, what is behind the person."""
    states = []
    if not settings.watched:
        states.append(IDLE)
    elif settings.paused:
        states.append("paused: camera off")
    elif trouble:
        states.append(trouble)
    if settings.watched:
        p50, p95 = figures.latency_ms
        states += [f"{figures.fps:.1f} fps", f"latency {p50:.0f}/{p95:.0f} ms"]
    states += [f"dropped {dropped}", settings.background]
    if settings.mirror:
        states.append("mirrored")
    return " · ".join(states)
