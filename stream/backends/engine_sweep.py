"""The cache stays bounded: what nobody has used for long goes when a new engine is written."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from stream.backends.engine_cache import ENGINE_SUFFIX, NOTES_SUFFIXES, PART_SUFFIX, card_of

log = logging.getLogger(__name__)

# By last use, and not by what TensorRT, driver or network they are of: two environments share the
# cache, and each would take the other's away. An engine has 6 to 20 MB, its notes less.
_UNUSED_DAYS = 30
_MOST = 32  # of each kind
_DAY_S = 24 * 60 * 60


def hold(path: Path) -> BinaryIO | None:
    """Mark an engine as in use, from now until what is returned is closed; None: it lies nowhere.

    One that runs needs its file no more, but the next start will.
    """
    try:
        file = path.open("rb")
    except OSError:
        return None
    with suppress(OSError):  # of another user, or on a disk that knows no locks
        os.utime(path)
        _lock(file, shared=True)
    return file


def sweep(folder: Path, now_s: float) -> list[Path]:
    """Remove what was last used long ago, and the oldest of too many; what that was.

    `now_s` is the time of day, as files are dated. What a program holds stays.
    """
    removed = []
    for suffix in (ENGINE_SUFFIX, *NOTES_SUFFIXES, PART_SUFFIX):
        files = sorted(folder.glob(f"*{suffix}"), key=_last_used_s, reverse=True)
        for place, path in enumerate(files):
            unused_days = (now_s - _last_used_s(path)) / _DAY_S
            if (place >= _MOST or unused_days > _UNUSED_DAYS) and _removed(path):
                removed.append(path)
    if removed:
        log.info("%d files of engines that were not used for long are removed", len(removed))
    return removed


def _last_used_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another program's sweep was quicker
        return 0.0


def _removed(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            _lock(file, shared=False)
        path.unlink()  # on Windows, which knows no such lock, this fails for what is open
        if path.suffix == ENGINE_SUFFIX:
            card_of(path).unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _lock(file: BinaryIO, *, shared: bool) -> None:
    """Raises OSError where another program is in the way."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
