"""COCO 2017 from its publisher: fetched so that a break costs little, checked, unpacked."""

import http.client
import logging
import shutil
import ssl
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from train import TrainError
from train.coco import SPLITS, layout, open_coco

OnProgress = Callable[[int, int | None], None]  # (units done, units in all if known)
Progress = Callable[[str], AbstractContextManager[OnProgress]]  # shows the unit of that name

CHUNK = 1 << 20
TIMEOUT_S = 60.0
RETRIES = 6  # after a break, until one brings something new; pauses of 2 to 64 s, 2 minutes in all
MB, GB = 10**6, 10**9
BREAKS = (URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
# And whatever is the server's own fault, from 500 up.
WORTH_ASKING_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Archive:
    """A zip file of COCO's, and what is taken out of it."""

    path: str
    """Below the base URL."""
    gives: tuple[str, ...]
    """Files or folders, named alike in the archive and in COCO's layout."""
    growth: float
    """Bytes unpacked for each one packed."""

    @property
    def name(self) -> str:
        """Its file's name."""
        return Path(self.path).name

    def is_needed(self, root: Path) -> bool:
        """True where something that it gives is not there; what is there is whole."""
        return not all((root / name).exists() for name in self.gives)


ARCHIVES = (
    Archive(
        "annotations/annotations_trainval2017.zip",
        tuple(layout(Path(), split)[0].as_posix() for split in SPLITS),
        growth=2.0,  # JSON; the captions and keypoints in it are left there
    ),
    *(Archive(f"zips/{split}.zip", (split,), growth=1.0) for split in reversed(SPLITS)),
)


@dataclass(frozen=True)
class Remote:
    """What the server tells of a file before it is fetched."""

    url: str
    size: int
    """Bytes."""
    version: str
    """What If-Range asks for: a strong ETag, or the date of the last change; else empty."""


def download(
    root: Path,
    url: str,
    progress: Progress,
    *,
    free: Callable[[Path], int] = lambda root: shutil.disk_usage(root).free,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Make COCO 2017 whole in `root`: archives are fetched from below `url`, unpacked, removed.

    What is there already is not fetched again. Raises TrainError; what came is kept.
    """
    needed = [archive for archive in ARCHIVES if archive.is_needed(root)]
    with _writing(root):
        root.mkdir(parents=True, exist_ok=True)
        for archive in needed:  # a run that was killed left it: half a folder, made anew
            shutil.rmtree(_unpacking(root, archive), ignore_errors=True)
    remotes = {archive: _ask(f"{url.rstrip('/')}/{archive.path}", sleep) for archive in needed}
    _check_space(root, remotes, free)
    for archive, remote in remotes.items():
        packed = root / archive.name
        if _length(packed) != remote.size:
            log.info("fetching %s", remote.url)
            with progress("MB") as on_progress:
                _fetch(remote, packed, on_progress, sleep)
        log.info("unpacking %s", packed)
        with progress("files") as on_progress:
            _unpack(archive, root, on_progress)


def _ask(url: str, sleep: Callable[[float], None]) -> Remote:
    def head() -> http.client.HTTPMessage:
        with urlopen(Request(url, method="HEAD"), timeout=TIMEOUT_S) as answer:
            return answer.headers

    headers = _patiently(head, url, lambda: 0, sleep)
    if not (headers["Content-Length"] or "").isdecimal():
        raise TrainError(f"{url} tells no size: is it COCO's server? Try another url")
    etag = headers["ETag"] or ""
    is_strong = etag and not etag.startswith("W/")
    version = etag if is_strong else headers["Last-Modified"] or ""
    return Remote(url, int(headers["Content-Length"]), version)


def _check_space(root: Path, remotes: dict[Archive, Remote], free: Callable[[Path], int]) -> None:
    came = sum(_length(root / f"{a.name}{end}") for a in remotes for end in ("", ".part"))
    unpacked = sum(archive.growth * remote.size for archive, remote in remotes.items())
    needed = sum(remote.size for remote in remotes.values()) - came + unpacked
    if needed > free(root):
        raise TrainError(
            f"COCO needs {needed / GB:.1f} GB in {root}, where {free(root) / GB:.1f} GB are free: "
            "free some space, or name a folder on another disk with --coco"
        )


def _fetch(
    remote: Remote,
    target: Path,
    on_progress: OnProgress,
    sleep: Callable[[float], None],
) -> None:
    """Bring the file, from where an earlier try ended if it is still the same file."""
    part, version = (target.with_name(f"{target.name}.{end}") for end in ("part", "version"))
    with _writing(part):
        if not version.exists() or version.read_text("utf-8") != remote.version:
            part.unlink(missing_ok=True)
            version.write_text(remote.version, "utf-8")
        if _length(part) < remote.size:
            receive = partial(_receive, remote, part, on_progress)
            _patiently(receive, remote.url, partial(_length, part), sleep)
        if _length(part) != remote.size:
            came = _length(part)
            part.unlink()
            raise TrainError(
                f"{remote.url} told of {remote.size} bytes and {came} came: they are "
                "removed; run the same command again, later or with another url"
            )
        part.replace(target)
        version.unlink()


def _receive(remote: Remote, part: Path, on_progress: OnProgress) -> None:
    """Add to `part` what it lacks, in one connection. Raises one of BREAKS when that ends early."""
    came = _length(part)
    asked = {"Range": f"bytes={came}-", "If-Range": remote.version}
    request = Request(remote.url, headers=asked if came and remote.version else {})
    try:
        answer = urlopen(request, timeout=TIMEOUT_S)
    except HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # there is no more: the caller sees that the size is wrong
        raise
    with answer:
        goes_on = answer.status == HTTPStatus.PARTIAL_CONTENT
        sent = answer.headers["Content-Range"] or "no range"
        if goes_on and not sent.startswith(f"bytes {came}-"):
            raise http.client.HTTPException(f"sent {sent}, asked for {asked['Range']}")
        with part.open("ab" if goes_on else "wb") as file:
            while file.tell() <= remote.size and (chunk := answer.read1(CHUNK)):
                file.write(chunk)
                on_progress(file.tell() // MB, remote.size // MB)
    if _length(part) < remote.size:
        raise ConnectionError(f"ended after {_length(part)} of {remote.size} bytes")


def _patiently(
    attempt: Callable[[], T],
    url: str,
    reached: Callable[[], int],
    sleep: Callable[[float], None],
) -> T:
    """Try again after a break, ever later; give up when RETRIES in a row brought nothing new."""
    furthest, failures = reached(), 0
    while True:
        try:
            return attempt()
        except BREAKS as error:
            code = error.code if isinstance(error, HTTPError) else None
            if code is not None and code < 500 and code not in WORTH_ASKING_AGAIN:
                raise TrainError(f"cannot fetch {url}: {error}; is the url right?") from error
            failures = failures + 1 if reached() <= furthest else 1
            furthest = max(furthest, reached())
            if failures > RETRIES:
                raise TrainError(
                    f"cannot fetch {url}: {error}; what came is kept: run the same command again "
                    "when the network is better"
                ) from error
            log.warning("%s broke off (%s); trying again in %d s", url, error, 2**failures)
            sleep(2**failures)


def _unpack(archive: Archive, root: Path, on_progress: OnProgress) -> None:
    """Take out what is wanted, each file's checksum verified; then the archive is not needed."""
    packed, place = root / archive.name, _unpacking(root, archive)
    with _writing(place):
        try:
            with zipfile.ZipFile(packed) as opened:
                wanted = [name for name in opened.namelist() if name.startswith(archive.gives)]
                for done, name in enumerate(wanted, 1):
                    opened.extract(name, place)
                    on_progress(done, len(wanted))
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            shutil.rmtree(place, ignore_errors=True)
            raise TrainError(
                f"{packed} is damaged ({error}): delete it and run the same command again; the "
                "other archives are kept"
            ) from error
        for name in archive.gives:
            _check_count(root, place / name, packed)
            (root / name).parent.mkdir(exist_ok=True)
            (place / name).replace(root / name)
        shutil.rmtree(place)
        packed.unlink()


def _check_count(root: Path, unpacked: Path, packed: Path) -> None:
    """As many pictures as the annotations name must have come."""
    if not unpacked.exists():
        raise TrainError(f"{packed} holds no {unpacked.name}: is it COCO's? Try another url")
    if unpacked.is_dir():
        annotations, _ = layout(root, unpacked.name)
        named, came = len(open_coco(annotations).imgs), len(list(unpacked.iterdir()))
        if named != came:
            raise TrainError(
                f"{packed} holds {came} pictures, {annotations} names {named}: delete the one "
                "that is wrong and run the same command again"
            )


def _unpacking(root: Path, archive: Archive) -> Path:
    return root / f"{archive.name}.unpacking"


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say which file or folder could not be written, and that nothing is lost."""
    try:
        yield
    except OSError as error:
        raise TrainError(
            f"cannot write {path}: {error.strerror or error}; what came is kept: make room, or "
            "choose a folder that you may write to, and run the same command again"
        ) from error
