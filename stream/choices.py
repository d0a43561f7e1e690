"""Choices: which backgrounds a user can change to while a live run runs, by their names."""

from __future__ import annotations

import logging
from pathlib import Path

from stream.backgrounds import stepped_blur
from stream.sources.pictures import SUFFIXES, natural

log = logging.getLogger(__name__)

_CLIP_SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif"}
_BLUR = "blur"

_Stamp = tuple[int, int]  # size and time of change: another file of that name, or more of it


class Choices:
    """The first background, blur, and the pictures and clips of a folder, read when asked."""

    def __init__(self, first: str, folder: Path | None = None) -> None:
        self._first, self._folder = first, folder
        self._blur = first if _is_blur(first) else _BLUR  # as it was last chosen
        self._broken: dict[str, _Stamp] = {}

    def beside(self, spec: str, step: int) -> str:
        """The background `step` places after this one (negative: before), around and around."""
        self._remember(spec)
        cycle = self._cycle(spec)
        # One that is gone meanwhile: on to the first, or back to the last.
        here = cycle.index(spec) if spec in cycle else -1 if step > 0 else 0
        return cycle[(here + step) % len(cycle)]

    def blurred(self, spec: str, steps: int) -> str:
        """More blur, or less; from another background to blur as it was last chosen."""
        self._remember(spec)
        return stepped_blur(spec, steps) if _is_blur(spec) else self._blur

    def leave_out(self, spec: str) -> None:
        """Skip a file that cannot be shown, until it changes: it may be half copied."""
        stamp = _stamp(spec)
        if stamp is not None:
            self._broken[spec] = stamp

    def _remember(self, spec: str) -> None:
        if _is_blur(spec):
            self._blur = spec

    def _cycle(self, here: str) -> list[str]:
        """All there are now; one that is broken only while it is chosen."""
        specs = [self._blur] if _is_blur(self._first) else [self._first, self._blur]
        fixed = {Path(spec).resolve() for spec in specs}
        for path in _shown_in(self._folder):
            name = str(path)
            is_broken = name in self._broken and self._broken[name] == _stamp(name)
            if path.resolve() not in fixed and (name == here or not is_broken):
                specs.append(name)
        return specs


def _is_blur(spec: str) -> bool:
    return spec.partition(":")[0] == _BLUR


def _shown_in(folder: Path | None) -> list[Path]:
    """Its pictures and clips in natural order; none, with a word, where it cannot be read."""
    if folder is None:
        return []
    known = SUFFIXES | _CLIP_SUFFIXES
    try:
        paths = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in known and not path.name.startswith(".") and path.is_file()
        ]
    except OSError as error:
        log.warning("cannot read the folder of backgrounds %s (%s)", folder, error.strerror)
        return []
    return sorted(paths, key=natural)


def _stamp(spec: str) -> _Stamp | None:
    try:
        status = Path(spec).stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns
