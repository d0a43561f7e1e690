"""Staging: a result is written beside its place and moved there when it is whole."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from stream import StreamError
from stream.reasons import reason


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with a message that says where what was done lies."""


@contextmanager
def staged(
    output: Path, force: bool, is_folder: bool, begun: Callable[[], object] = lambda: True
) -> Iterator[Path]:
    """A place to write `output` at, on the same disk.

    When the block ends well it is moved to `output`; on Ctrl-C what is there is kept beside it
    under a name that says partial, if `begun` says that it is worth it, and Interrupted is raised;
    on any error it is removed.
    """
    check_place(output, force, is_folder)
    place = beside(output, "writing")
    if is_folder:
        make_folder(place)
    try:
        yield place
    except KeyboardInterrupt:
        if begun() and place.exists():
            raise Interrupted(_keep(place, output)) from None
        _remove(place)
        raise Interrupted(f"interrupted: nothing was written to {output}") from None
    except BaseException:
        _remove(place)
        raise
    try:
        _move(place, output)
    except OSError as error:
        raise StreamError(f"cannot put {place} at {output}: {reason(error)}") from error


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, if they are not there. Raises StreamError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StreamError(f"cannot make the folder {folder}: {reason(error)}") from error


def check_name(path: Path) -> None:
    """Raise StreamError for a name that no file can have: too long, or with a zero in it."""
    try:
        path.exists()
    except (OSError, ValueError) as error:
        raise StreamError(f"cannot use {path}: {reason(error)}") from error


def check_pairs(pairs: Sequence[tuple[str | Path, Path]], force: bool) -> None:
    """Raise StreamError, before anything is made, where not every input can become its output."""
    twice = [path for path, times in Counter(path for _, path in pairs).items() if times > 1]
    if twice:
        raise StreamError(f"cannot write {twice[0]} twice: two inputs have that name; rename one")
    for source, target in pairs:
        if "://" not in str(source) and not Path(source).exists():
            raise StreamError(f"cannot find {source}: is the name right?")
        if target.exists() and Path(source).exists() and target.samefile(source):
            raise StreamError(f"cannot write {target} over itself: give another OUTPUT")
        if target.exists() and not force:
            raise StreamError(f"cannot write {target}: it exists; --force replaces it")


def check_place(output: Path, force: bool, is_folder: bool) -> None:
    """Raise StreamError where `output` may not be written, or exists and is not to be replaced."""
    if is_folder:
        taken = next(_numbered(output), None) if output.is_dir() else None
        if taken is not None and not force:
            raise StreamError(
                f"cannot write into {output}: it holds pictures already ({taken.name}); give "
                "another folder, or --force to replace them"
            )
        if output.exists() and not output.is_dir():
            raise StreamError(f"cannot make the folder {output}: a file has that name")
        return
    if not output.parent.is_dir():
        raise StreamError(
            f"cannot write {output}: there is no folder {output.parent}; make it first"
        )
    if output.exists() and not force:
        raise StreamError(
            f"cannot write {output}: it exists; give another name, or --force to replace it"
        )


def beside(output: Path, mark: str) -> Path:
    """A name that nothing has, on the disk of `output`: beside a file, of the same ending; inside
    a folder that is there, which may be a disk of its own."""
    for number in count(1):
        tail = mark if number == 1 else f"{mark}-{number}"
        if output.is_dir():
            path = output / tail
        else:
            path = output.with_name(f"{output.stem[:200]}.{tail}{output.suffix}")
        if not path.exists():
            return path
    raise AssertionError


def _keep(place: Path, output: Path) -> str:
    """Move what was made to its partial name; say so."""
    partial = beside(output, "partial")
    place.rename(partial)
    return f"interrupted: what was done is kept in {partial}"


def _move(place: Path, output: Path) -> None:
    if not place.is_dir() or not output.is_dir():
        place.replace(output)
        return
    made = {picture.name for picture in place.iterdir()}
    for picture in place.iterdir():
        picture.replace(output / picture.name)
    for old in list(_numbered(output)):  # a longer clip's tail would follow a shorter clip
        if old.name not in made:
            old.unlink()
    place.rmdir()


def _numbered(folder: Path) -> Iterator[Path]:
    """The pictures that look like ours: 000001.png to 9999999.png, no dates of eight digits."""
    return (
        path
        for path in sorted(folder.glob("*.png"))
        if re.fullmatch(r"[0-9]{6}|[1-9][0-9]{6}", path.stem)
    )


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
