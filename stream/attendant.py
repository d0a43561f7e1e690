"""Attendant: the thread beside the line, for keys, for readers that come and go, for reports."""

from __future__ import annotations

import logging
import math
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from stream.control import LiveControl

log = logging.getLogger(__name__)

_TICK_S = 1.0
_CLOSE_S = 2.0
_POLL_S = 0.1  # where the system cannot wait for keys
_REST_AFTER_S = 2.0  # programs let a camera go for a moment when they look around or change calls


class Keys(Protocol):
    """What is typed; where the system can wait for it, by its fileno()."""

    def fileno(self) -> int:
        """For select."""
        ...

    def react(self) -> bool:
        """Pass on what was typed since; False when there will be no more."""
        ...


class Readers(Protocol):
    """Who reads what is written."""

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
    """Waits for keys and readers at once, and calls `tick` once a second; closes the readers."""

    def __init__(
        self,
        control: LiveControl,
        keys: Keys | None,
        readers: Readers | None,
        tick: Callable[[], None],
    ) -> None:
        self._control, self._keys, self._readers, self._tick = control, keys, readers, tick
        self._attends_keys = keys is not None
        self._rest_at_s = math.inf
        self._error: BaseException | None = None
        self._closing = threading.Event()
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._attend, name="attendant", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; safe to call twice. What broke it is raised."""
        if self._closing.is_set():
            return
        self._closing.set()
        os.write(self._waker, b"\0")
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():
            return  # a dead network disk or a stopped terminal holds it
        os.close(self._wake)
        os.close(self._waker)
        if self._readers is not None:
            self._readers.close()
        if self._error is not None:
            raise self._error

    def _attend(self) -> None:
        ticked_s = 0.0
        try:
            while not self._closing.is_set():
                self._look()
                if time.monotonic() - ticked_s >= _TICK_S:
                    ticked_s = time.monotonic()
                    self._report()
                self._wait()
        except BaseException as error:
            self._error = error
            self._control.change(ended=True)

    def _report(self) -> None:
        try:
            self._tick()
        except (OSError, SystemExit) as error:  # rich raises it where nobody reads it any more
            log.debug("no status from now on: %s", error)
            self._tick = lambda: None

    def _look(self) -> None:
        if self._readers is not None:
            self._see(self._readers.watching(), time.monotonic())
        if self._attends_keys and self._keys is not None:
            self._attends_keys = self._keys.react()

    def _see(self, watching: bool | None, now_s: float) -> None:
        """Who comes is served at once, who left is missed after a while."""
        if watching:
            self._rest_at_s = math.inf
            self._control.change(watched=True)
        elif watching is not None:
            self._rest_at_s = min(self._rest_at_s, now_s + _REST_AFTER_S)
        if now_s >= self._rest_at_s:
            self._rest_at_s = math.inf
            self._control.change(watched=False)

    def _wait(self) -> None:
        if sys.platform == "win32":  # select knows sockets alone there
            self._closing.wait(_POLL_S)
            return
        typed: list[Any] = [self._keys] if self._attends_keys else []
        came: list[Any] = [] if self._readers is None else [self._readers]
        # A driver's events are exceptional data, inotify's are ordinary.
        select.select([self._wake, *typed, *came], [], came, _TICK_S)
