"""A result of several files: all of them take their places, or none does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from export import ExportError


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A place to make the files of `folder` in, on its disk; they move there when the block ends.

    Where it ends with an error, or Ctrl-C, what `folder` had before is untouched: a network that
    is worse than it may be replaces none that ships. Raises ExportError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".making-", dir=folder, ignore_cleanup_errors=True) as name:
            place = Path(name)
            yield place
            for made in [path for path in place.rglob("*") if path.is_file()]:
                target = folder / made.relative_to(place)
                target.parent.mkdir(parents=True, exist_ok=True)
                made.replace(target)
    except OSError as error:
        raise ExportError(f"cannot write to {folder}: {error.strerror or error}") from error
