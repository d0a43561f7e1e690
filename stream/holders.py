"""Which programs hold a device open, as far as Linux lets us see."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def holders(path: str) -> list[str]:
    """`name (process id)` of each other program that has `path` open; not those of other users."""
    try:
        device = Path(path).stat().st_rdev
    except OSError:
        return []
    if not device:  # a plain file
        return []
    return [
        _named(process)
        for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda each: int(each.name))
        if process.name != str(os.getpid()) and device in _open_devices(process)
    ]


def _open_devices(process: Path) -> Iterator[int]:
    with suppress(OSError):  # of another user, or gone meanwhile
        for link in (process / "fd").iterdir():
            with suppress(OSError):
                if str(link.readlink()).startswith(
                    "/dev/"
                ):  # a stat of a pipe or socket costs more
                    yield link.stat().st_rdev


def _named(process: Path) -> str:
    with suppress(OSError):
        return f"{(process / 'comm').read_text().strip()} ({process.name})"
    return process.name
