"""What a terminal shows while a command runs: a progress bar, a status line, a table."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

log = logging.getLogger(__name__)


def in_foreground(fd: int) -> bool:
    """Whether a terminal listens to this program: a shell may have it in the background (&)."""
    if sys.platform == "win32":
        return True
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # it was closed, or is another session's
        return False


def show_table(titles: list[str], rows: list[list[str]]) -> None:
    """A table without lines, on standard output; long cells are folded."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal, else a line every ten seconds; on standard error."""
    if not sys.stderr.isatty():
        yield _Lines(unit)
        return
    column = TextColumn("{task.fields[rate]:.1f} " + _per_second(unit))
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), column, TimeRemainingColumn())
    rate = _Rate()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(unit, total=None, rate=0.0)

        def show(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total, rate=rate(done))

        yield show


_STATUS_EVERY_S = 60.0


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """A line that is written anew on a terminal, else one a minute; on standard error.

    So is it one a minute while another program has the terminal.
    """
    console = Console(stderr=True, highlight=False, markup=False)
    seldom = _Seldom()
    if not sys.stderr.isatty() or console.is_dumb_terminal:
        yield seldom
        return
    terminal = sys.stderr.fileno()
    with Live(console=console, auto_refresh=False, transient=True) as shown:
        console.show_cursor(True)  # after Ctrl-Z the shell would be without one

        def show(line: str) -> None:
            if in_foreground(terminal):
                shown.update(Text(line, overflow="ellipsis", no_wrap=True), refresh=True)
            else:
                seldom(line)

        with _logging_above():
            yield show


@contextmanager
def _logging_above() -> Iterator[None]:
    """Let what is logged go through a live display, which moves it above itself: it has taken the
    place of standard error, but not where that was kept."""
    moved = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.__stderr__
    ]
    for handler in moved:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler in moved:
            handler.setStream(sys.__stderr__)


class _Seldom:
    """The status as plain lines, for logs."""

    def __init__(self) -> None:
        self._said_s = time.monotonic()

    def __call__(self, line: str) -> None:
        if time.monotonic() - self._said_s >= _STATUS_EVERY_S:
            self._said_s = time.monotonic()
            log.info("%s", line)


def _per_second(unit: str) -> str:
    return "fps" if unit == "frames" else f"{unit}/s"


class _Rate:
    """Units a second since the first call: what a download resumes with does not count."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def __call__(self, done: int) -> float:
        """The rate when so many units are done."""
        now = time.monotonic()
        began, before = self._first = self._first or (now, done)
        return (done - before) / max(now - began, 1e-9)


_EVERY_S = 10.0


class _Lines:
    """Progress as plain lines, for logs."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._console = Console(stderr=True, highlight=False)
        self._rate, self._said = _Rate(), time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        rate, now = self._rate(done), time.monotonic()
        if now - self._said < _EVERY_S:
            return
        self._said = now
        of = "" if total is None else f" of {total}"
        left = f", {max(0, total - done) / rate:.0f} s left" if total is not None and rate else ""
        said = f"{done}{of} {self._unit}, {rate:.1f} {_per_second(self._unit)}{left}"
        self._console.print(said, soft_wrap=True)
