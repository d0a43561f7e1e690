"""Attendant: the thread beside the line, for keys, for readers that come and go, for reports."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

from stream.control import LiveControl

_TICK_S = 1.0
_POLL_S = 0.1  # where the system cannot wait for keys


class Keys(Protocol):
    """What is typed; where the system can wait for it, by its fileno()."""

    def fileno(self) -> int:
        """For select."""
        ...

    def react(self) -> None:
        """Do what the keys say that were typed since."""
        ...


class Readers(Protocol):
    """Who reads what is written; closed by the attendant."""

    def fileno(self) -> int:
        """For select: it has exceptional data when somebody came or left."""
        ...

    def watching(self) -> bool | None:
        """Whether anybody reads; None: nothing has changed."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class Attendant:
    """Waits for keys and readers at once, and calls `tick` once a second."""

    def __init__(
        self,
        control: LiveControl,
        keys: Keys | None,
        readers: Readers | None,
        tick: Callable[[], None],
    ) -> None:
        self._control, self._keys, self._readers, self._tick = control, keys, readers, tick
        self._closing = threading.Event()
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._attend, name="attendant", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; safe to call twice."""
        if not self._closing.is_set():
            self._closing.set()
            os.write(self._waker, b"\0")
            self._thread.join()
            os.close(self._wake)
            os.close(self._waker)
            if self._readers is not None:
                self._readers.close()

    def _attend(self) -> None:
        while not self._closing.is_set():
            self._wait()
            if self._readers is not None and (watching := self._readers.watching()) is not None:
                self._control.change(watched=watching)
            if self._keys is not None:
                self._keys.react()
            self._tick()

    def _wait(self) -> None:
        if sys.platform == "win32":  # select knows sockets alone there
            self._closing.wait(_POLL_S)
            return
        typed: list[Any] = [] if self._keys is None else [self._keys]
        came: list[Any] = [] if self._readers is None else [self._readers]
        # A driver's events are exceptional data, inotify's are ordinary.
        select.select([self._wake, *typed, *came], [], came, _TICK_S)
