"""What ends a command from outside: Ctrl-C, SIGTERM, a closed terminal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_NUMBERS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Make each of them a KeyboardInterrupt in the block, also for a command that a script started
    with & and that would ignore Ctrl-C from birth.

    While the block ends, a second one is not heard: it would spoil the file being finished.
    """

    def end(number: int, frame: object) -> None:
        ignore_endings()
        raise KeyboardInterrupt

    before = [signal.signal(number, end) for number in _NUMBERS]
    try:
        yield
    finally:
        for number, handler in zip(_NUMBERS, before, strict=True):
            signal.signal(number, handler)


def ignore_endings() -> None:
    """Hear none of them any more, until the block of ended_by_signals() is left."""
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)
