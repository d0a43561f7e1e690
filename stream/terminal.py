"""What a terminal shows while a command runs: a progress bar, a table."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table


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
    rate = TextColumn("{task.fields[fps]:.1f} fps")
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), rate, TimeRemainingColumn())
    began = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(unit, total=None, fps=0.0)

        def show(done: int, total: int | None) -> None:
            fps = done / (time.monotonic() - began)
            bar.update(task, completed=done, total=total, fps=fps)

        yield show


_EVERY_S = 10.0


class _Lines:
    """Progress as plain lines, for logs."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._console = Console(stderr=True, highlight=False)
        self._began = self._said = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._said < _EVERY_S:
            return
        self._said = now
        fps = done / (now - self._began)
        of, left = "", ""
        if total is not None:
            of, left = f" of {total}", f", {max(0, total - done) / fps:.0f} s left"
        self._console.print(f"{done}{of} {self._unit}, {fps:.1f} fps{left}", soft_wrap=True)
