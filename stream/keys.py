"""Keys: what is typed while a live run runs, and what it does."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from stream.control import LiveControl
from stream.wardrobe import Wardrobe

if sys.platform == "win32":
    import msvcrt
else:
    import select
    import signal
    import termios
    import tty

log = logging.getLogger(__name__)

HELP = (
    "n next background, p the one before, + - blur, space pause, m mirror, q quit; "
    "the folder of --backgrounds is in the cycle"
)
_ARROWS = {"\x1b[C": "n", "\x1b[B": "n", "\x1b[D": "p", "\x1b[A": "p"}


def press(key: str, control: LiveControl, wardrobe: Wardrobe) -> None:
    """Do what a key says; others do nothing."""
    settings = control.settings
    actions: dict[str, Callable[[], object]] = {
        "n": lambda: wardrobe.step(1),
        "p": lambda: wardrobe.step(-1),
        "+": lambda: wardrobe.blur(1),
        "=": lambda: wardrobe.blur(1),  # the same key on many keyboards
        "-": lambda: wardrobe.blur(-1),
        " ": lambda: control.change(paused=not settings.paused),
        "m": lambda: control.change(mirror=not settings.mirror),
        "q": lambda: control.change(ended=True),
        "h": lambda: log.info(HELP),
        "?": lambda: log.info(HELP),
    }
    if key in actions:
        actions[key]()


class TerminalKeys:
    """Reads single keys from the terminal that the program runs in, each as it is typed."""

    def __init__(self, on_key: Callable[[str], None]) -> None:
        self._on_key = on_key
        self._is_open = True
        if sys.platform != "win32":
            self._fd = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._fd)
            self._listen()
            # After Ctrl-Z and fg the shell has set the terminal as it likes it.
            signal.signal(signal.SIGCONT, lambda number, frame: self._listen())

    def fileno(self) -> int:
        """For select."""
        return self._fd

    def react(self) -> bool:
        """Pass on what was typed since; False when there will be no more."""
        if sys.platform == "win32":
            while msvcrt.kbhit():
                self._on_key(msvcrt.getwch())
            return True
        if not select.select([self._fd], [], [], 0)[0]:
            return True
        typed = os.read(self._fd, 64).decode(errors="ignore")
        for sequence, key in _ARROWS.items():
            typed = typed.replace(sequence, key)
        for key in typed:
            self._on_key(key)
        return bool(typed)

    def close(self) -> None:
        """Leave the terminal as it was; safe to call twice."""
        if self._is_open and sys.platform != "win32":
            signal.signal(signal.SIGCONT, signal.SIG_DFL)
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        self._is_open = False

    def _listen(self) -> None:
        """Key by key, without an echo; Ctrl-C stays a signal."""
        if _is_ours(self._fd):
            tty.setcbreak(self._fd)


def terminal_keys(on_key: Callable[[str], None]) -> TerminalKeys | None:
    """The keys of the terminal; None where there is none, or another program has it.

    A program that a shell runs in the background (&) is stopped when it touches the terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    if sys.platform != "win32" and not _is_ours(sys.stdin.fileno()):
        return None
    return TerminalKeys(on_key)


def _is_ours(fd: int) -> bool:
    """Whether this program is in the terminal's foreground."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False
