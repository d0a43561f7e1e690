"""What may change while a live run runs: one settings value, replaced whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
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

    @property
    def wants_camera(self) -> bool:
        """Whether the camera is to be open."""
        return self.watched and not self.paused and not self.ended


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

    def wait_until(self, wanted: Callable[[Settings], bool]) -> Settings:
        """Wait for settings that are wanted; which ones they are. change() wakes it to look."""
        with self._changed:
            self._changed.wait_for(lambda: wanted(self.settings))
            return self.settings
