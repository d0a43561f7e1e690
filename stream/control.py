"""What may change while a live run runs: one settings value, replaced whole."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Settings:
    """What the line reads once a frame."""

    background: str  # as in --background
    mirror: bool = False
    paused: bool = False  # the background alone, the camera off
    watched: bool = True  # a program reads what is written; nobody: the camera is off
    ended: bool = False


class LiveControl:
    """Holds the settings of a live run; keys, the watcher of readers or a panel change them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._changed = threading.Condition()

    def change(self, **changes: Any) -> Settings:
        """Replace some of the settings; wakes whoever waits. Safe from any thread."""
        with self._changed:
            self.settings = replace(self.settings, **changes)
            self._changed.notify_all()
            return self.settings

    def wait_until_on(self, timeout_s: float | None = None) -> Settings:
        """Wait until frames are wanted (somebody watches, or all ends); the settings then."""
        with self._changed:
            self._changed.wait_for(lambda: self.settings.watched or self.settings.ended, timeout_s)
            return self.settings
