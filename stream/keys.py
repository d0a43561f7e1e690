"""Keys: what is typed while a live run runs, and what it does."""

from __future__ import annotations

import logging
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from stream.control import LiveControl
from stream.terminal import in_foreground
from stream.wardrobe import Wardrobe

if sys.platform == "win32":
    import msvcrt
else:
    import termios
    import tty

log = logging.getLogger(__name__)

HELP = (
    "n next background, p the one before, + - blur, space pause, m mirror, q quit; "
    "the folder of --backgrounds is in the cycle"
)
_ARROWS = {"C": "n", "B": "n", "D": "p", "A": "p"}
_TYPED = re.compile(r"\x1b[\[O][0-9;]*([A-Za-z~])|(.)", re.DOTALL)  # as terminals write arrows
_LOCAL = 3  # where termios keeps ECHO and ICANON


def press(key: str, control: LiveControl, wardrobe: Wardrobe) -> None:
    """Do what a key says; others do nothing."""
    key, settings = key.lower(), control.settings
    actions: dict[str, Callable[[], object]] = {
        "n": lambda: wardrobe.step(1),
        "p": lambda: wardrobe.step(-1),
        "+": lambda: wardrobe.blur(1),
        "=": lambda: wardrobe.blur(1),  # the same key on many keyboards
        "-": lambda: wardrobe.blur(-1),
        "_": lambda: wardrobe.blur(-1),
        " ": lambda: control.change(paused=not settings.paused),
        "m": lambda: control.change(mirror=not settings.mirror),
        "q": lambda: control.change(ended=True),
        "h": lambda: log.info(HELP),
        "?": lambda: log.info(HELP),
    }
    if key in actions:
        actions[key]()


class TerminalKeys:
    """Reads single keys from the terminal that the program runs in, each as it is typed.

    A program in the background (started with &, or sent there by Ctrl-Z and bg) must not touch the
    terminal: it would be stopped. So the terminal is listened to only while it is ours, and is as
    it was whenever it is not. To be made and closed on the main thread, as signals need it.
    """

    def __init__(self, on_key: Callable[[str], None]) -> None:
        self._on_key = on_key
        # Held while the program sleeps after Ctrl-Z, so that no other thread listens meanwhile.
        self._lock = threading.RLock()
        self._fd = sys.stdin.fileno()
        self._silent, self._silent_end = os.pipe()  # to select on where no key can come
        self._before: list[Any] | None = None  # the terminal's own mode, once ours was set
        self._handler: Any = None  # of Ctrl-Z, before ours
        if sys.platform != "win32":
            if signal.getsignal(signal.SIGTSTP) != signal.SIG_IGN:  # who must not stop, does not
                self._handler = signal.signal(signal.SIGTSTP, self._sleep)
            self._listen()

    def fileno(self) -> int:
        """For select; another one as the program goes to the background and comes back."""
        return self._fd if self._listen() else self._silent

    def react(self) -> bool:
        """Pass on what was typed since; False when there will be no more."""
        if sys.platform == "win32":
            while msvcrt.kbhit():
                self._on_key(msvcrt.getwch())
            return True
        if not self._listen() or not select.select([self._fd], [], [], 0)[0]:
            return True
        try:
            typed = os.read(self._fd, 1024).decode(errors="ignore")
        except OSError:  # the terminal was closed
            return False
        for match in _TYPED.finditer(typed):
            self._on_key(_ARROWS.get(match[1], "") if match[1] else match[2])
        return bool(typed)

    def close(self) -> None:
        """Leave the terminal as it was; safe to call twice."""
        if self._silent < 0:
            return
        self._leave()
        if self._handler is not None:
            signal.signal(signal.SIGTSTP, self._handler)
        os.close(self._silent)
        os.close(self._silent_end)
        self._silent = -1

    def _listen(self) -> bool:
        """Whether the terminal is ours; then it gives key by key, whatever the shell has set."""
        with self._lock:
            if not in_foreground(self._fd):
                return False
            try:
                mode = termios.tcgetattr(self._fd)
                if mode[_LOCAL] & (termios.ECHO | termios.ICANON):
                    self._before = self._before or mode
                    tty.setcbreak(self._fd, termios.TCSANOW)  # Ctrl-C stays a signal
            except termios.error:  # the terminal was closed
                return False
            return True

    def _leave(self) -> None:
        with self._lock:
            if self._before is not None and in_foreground(self._fd):
                with suppress(termios.error):  # the terminal was closed
                    termios.tcsetattr(self._fd, termios.TCSANOW, self._before)

    def _sleep(self, number: int, frame: object) -> None:
        """Ctrl-Z: until fg or bg."""
        with self._lock:
            self._leave()
            ours = signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            signal.signal(number, ours)
            self._listen()


def terminal_keys(on_key: Callable[[str], None]) -> TerminalKeys | None:
    """The keys of the terminal; None where there is none."""
    return TerminalKeys(on_key) if sys.stdin is not None and sys.stdin.isatty() else None
