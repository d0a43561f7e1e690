"""Fetching COCO from a server that breaks off, lies or is not there; here, on this machine."""

import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("pycocotools", reason="requirements-train.txt is not installed")

from train import TrainError
from train import download as room
from train.collection import training
from train.data import main
from train.data_config import DataConfig
from train.download import ARCHIVES, RETRIES, download

ANNOTATIONS, VAL, TRAIN = (f"/{archive.path}" for archive in ARCHIVES)
BYTES_FREE = 10**9


class Server(ThreadingHTTPServer):
    """Serves the archives, and tells what was asked of it; its whims are set by the tests."""

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = files
        self.asked: list[tuple[str, str, str | None]] = []  # method, path, Range
        self.sent = dict.fromkeys(files, 0)  # bytes
        self.version = '"1"'
        self.has_ranges = True
        self.breaks_after: dict[str, list[int]] = {}  # bytes, for one answer after another
        self.told: dict[str, int] = {}  # a size that is not so
        self.busy = 0  # answers that are 503
        self.shift = 0  # bytes by which a range is not the one that was asked for
        self.url = f"http://127.0.0.1:{self.server_port}"

    def gets(self, path: str) -> list[str | None]:
        """The ranges that were asked of a file, in order."""
        return [range_ for method, name, range_ in self.asked if (method, name) == ("GET", path)]


class Answer(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_) -> None:
        pass

    def _begin(self) -> bytes:
        """Send the head; return what is to follow."""
        self.server.asked.append((self.command, self.path, self.headers["Range"]))
        content = self.server.files.get(self.path)
        if content is None or self.server.busy:
            self.server.busy -= content is not None
            self.send_error(404 if content is None else 503)
            return b""
        asked = self.headers["Range"]
        is_same = self.headers["If-Range"] in (None, self.server.version)
        start = int(asked[6:-1]) if asked and is_same and self.server.has_ranges else 0
        if asked and start >= len(content):
            self.send_error(416)
            return b""
        self.send_response(206 if start else 200)
        size = self.server.told.get(self.path, len(content))
        if start:
            begin = start + self.server.shift
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        if self.command == "HEAD" or self.path not in self.server.told:
            self.send_header("Content-Length", str(size - start))
        if self.server.version:
            self.send_header("ETag", self.server.version)
        self.end_headers()
        return content[start:]

    def do_HEAD(self) -> None:
        self._begin()

    def do_GET(self) -> None:
        content = self._begin()
        breaks = self.server.breaks_after.get(self.path)
        content = content[: breaks.pop(0)] if breaks else content
        if self.path in self.server.sent:
            self.server.sent[self.path] += len(content)
        self.wfile.write(content)


@pytest.fixture
def server(coco_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The archives as COCO packs them; other annotations are in theirs as well."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (coco_root / "annotations" / "captions_val2017.json").write_text("{}")
    contents = {}
    for path, folder in ((ANNOTATIONS, "annotations"), (VAL, "val2017"), (TRAIN, "train2017")):
        packed = tmp_path / "packed.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            for file in [coco_root / folder, *sorted((coco_root / folder).iterdir())]:
                archive.write(file, file.relative_to(coco_root))
        contents[path] = packed.read_bytes()
        packed.unlink()
    server = Server(contents)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "originals"


def fetch(
    server: Server, root: Path, *, free: int = BYTES_FREE, pauses: list | None = None
) -> None:
    download(
        root,
        server.url,
        lambda unit: nullcontext(lambda done, total: None),
        free=lambda folder: free,
        sleep=[].append if pauses is None else pauses.append,
    )


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def assert_whole(root: Path, coco_root: Path) -> None:
    wanted = files_below(coco_root)
    del wanted["annotations/captions_val2017.json"]
    assert files_below(root) == wanted


def test_all_of_coco_is_fetched_and_unpacked(server, root, coco_root):
    shown = []
    download(
        root,
        server.url + "/",
        lambda unit: nullcontext(lambda done, total: shown.append((unit, done, total))),
    )
    assert_whole(root, coco_root)
    assert {unit for unit, *_ in shown} == {"MB", "files"}
    assert ("files", 7, 7) in shown  # six pictures and their folder
    assert server.sent == {path: len(content) for path, content in server.files.items()}


def test_the_same_again_asks_for_nothing(server, root):
    fetch(server, root)
    server.asked.clear()
    fetch(server, root, free=0)
    assert server.asked == []


def test_only_what_is_not_there_is_fetched(server, root, coco_root):
    (root / "annotations").mkdir(parents=True)
    for name in ("train2017", "val2017"):
        file = f"annotations/instances_{name}.json"
        (root / file).write_bytes((coco_root / file).read_bytes())
    fetch(server, root)
    assert server.gets(ANNOTATIONS) == []
    assert_whole(root, coco_root)


def test_a_set_is_made_of_what_was_fetched(server, tmp_path):
    config = DataConfig(out=tmp_path / "data", download=True, url=server.url, negatives=0.0)
    main(config)
    assert len(training(config.out, hard_repeats=1).samples) == 2
    asked = list(server.asked)
    main(config)
    assert server.asked == asked


def test_a_broken_connection_goes_on_where_it_broke(server, root, coco_root):
    size = len(server.files[TRAIN])
    server.breaks_after[TRAIN] = [size // 3, size // 3]
    pauses: list[float] = []
    fetch(server, root, pauses=pauses)
    assert_whole(root, coco_root)
    assert server.gets(TRAIN) == [
        None,
        f"bytes={size // 3}-",
        f"bytes={size // 3 * 2}-",
    ]
    assert server.sent[TRAIN] == size  # nothing came twice
    assert pauses == [2, 2]  # each try brought something


def test_a_stopped_download_goes_on_with_the_next_command(server, root, coco_root):
    size = len(server.files[VAL])
    server.breaks_after[VAL] = [size // 2]

    def stop(pause: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(root, server.url, lambda unit: nullcontext(lambda *_: None), sleep=stop)
    assert (root / "val2017.zip.part").stat().st_size == size // 2
    fetch(server, root)
    assert_whole(root, coco_root)
    assert server.gets(VAL) == [None, f"bytes={size // 2}-"]
    assert len(server.gets(ANNOTATIONS)) == 1
    assert server.sent[VAL] == size


@pytest.mark.parametrize("version", ['"2"', 'W/"2"', ""])
def test_another_file_of_that_name_is_fetched_from_its_start(server, root, coco_root, version):
    root.mkdir()
    (root / "val2017.zip.part").write_bytes(b"the beginning of an older file")
    (root / "val2017.zip.version").write_text('"1"')
    server.version = version
    fetch(server, root)
    assert_whole(root, coco_root)
    assert server.gets(VAL) == [None]


@pytest.mark.parametrize("version", ['W/"1"', ""])
def test_a_file_of_no_certain_version_is_not_gone_on_with(server, root, coco_root, version):
    server.version = version
    server.breaks_after[VAL] = [len(server.files[VAL]) // 2]
    fetch(server, root)
    assert_whole(root, coco_root)
    assert server.gets(VAL) == [None, None]


def test_a_file_that_changes_between_two_tries_is_not_mixed(server, root, coco_root):
    server.breaks_after[VAL] = [len(server.files[VAL]) // 2]

    def change(pause: float) -> None:
        server.version = '"2"'

    download(root, server.url, lambda unit: nullcontext(lambda *_: None), sleep=change)
    assert_whole(root, coco_root)
    assert server.sent[VAL] == len(server.files[VAL]) * 3 // 2


def test_a_server_without_ranges_starts_over(server, root, coco_root):
    size = len(server.files[TRAIN])
    server.has_ranges = False
    server.breaks_after[TRAIN] = [size // 2]
    fetch(server, root)
    assert_whole(root, coco_root)
    assert server.sent[TRAIN] == size // 2 + size


def test_another_range_than_the_one_asked_for_is_not_used(server, root):
    server.shift = 1
    server.breaks_after[VAL] = [len(server.files[VAL]) // 2]
    with pytest.raises(TrainError, match=r"val2017.zip: sent bytes .*, asked for bytes="):
        fetch(server, root)


def test_a_server_that_always_breaks_is_given_up_in_the_end(server, root):
    size = len(server.files[VAL])
    server.has_ranges = False
    server.breaks_after[VAL] = [size // 2] * 100
    pauses: list[float] = []
    with pytest.raises(TrainError, match=r"val2017.zip: ended after .* what came is kept: run the"):
        fetch(server, root, pauses=pauses)
    assert pauses == [2, 4, 8, 16, 32, 64]
    assert len(server.gets(VAL)) == RETRIES + 1
    assert (root / "val2017.zip.part").stat().st_size == size // 2
    assert (root / "annotations" / "instances_val2017.json").exists()  # the good ones are kept


def test_a_busy_server_is_asked_again(server, root, coco_root):
    server.busy = 2
    pauses: list[float] = []
    fetch(server, root, pauses=pauses)
    assert pauses == [2, 4]
    assert_whole(root, coco_root)


def test_a_server_that_is_not_there_is_named(root):
    pauses: list[float] = []
    with pytest.raises(TrainError, match=r"cannot fetch http://127.0.0.1:1/annot.*refused"):
        download(root, "http://127.0.0.1:1", lambda unit: nullcontext(), sleep=pauses.append)
    assert pauses == [2, 4, 8, 16, 32, 64]


def test_a_file_that_is_not_there_is_not_asked_for_again(server, root):
    del server.files[TRAIN]
    with pytest.raises(TrainError, match=r"train2017.zip: HTTP Error 404.*is the url right\?"):
        fetch(server, root)
    assert [method for method, *_ in server.asked] == ["HEAD"] * 3  # before anything is fetched


@pytest.mark.parametrize("more", [-5, 5])
def test_a_size_that_is_not_the_one_told_is_an_error(server, root, more):
    size = len(server.files[VAL])
    server.told[VAL] = size + more
    with pytest.raises(TrainError, match=rf"told of {size + more} bytes and {size} came: .*again"):
        fetch(server, root)
    assert not list(root.glob("val2017.zip*.part"))
    del server.told[VAL]
    fetch(server, root)
    assert len(server.gets(ANNOTATIONS)) == 1


def test_a_damaged_archive_says_what_to_do_and_the_good_ones_are_kept(server, root, coco_root):
    good = server.files[VAL]
    middle = len(good) // 2
    server.files[VAL] = good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1 :]
    with pytest.raises(TrainError, match=r"val2017.zip is damaged \(Bad CRC-32.*delete it and run"):
        fetch(server, root)
    assert not (root / "val2017").exists()
    server.files[VAL] = good
    (root / "val2017.zip").unlink()
    fetch(server, root)
    assert_whole(root, coco_root)
    assert len(server.gets(ANNOTATIONS)) == 1


def test_an_archive_that_is_none_is_damaged(server, root):
    server.files[ANNOTATIONS] = b"<html>please log in</html>"
    with pytest.raises(TrainError, match=r"trainval2017.zip is damaged \(File is not a zip file"):
        fetch(server, root)


def test_an_archive_of_something_else_is_named(server, root):
    server.files[VAL] = server.files[TRAIN]
    with pytest.raises(TrainError, match=r"val2017.zip holds no val2017: is it COCO's\?"):
        fetch(server, root)


def test_pictures_are_counted_against_the_annotations(server, root, coco_root, tmp_path):
    file = coco_root / "annotations" / "instances_val2017.json"
    content = json.loads(file.read_text())
    content["images"] *= 2
    content["images"][1] = content["images"][1] | {"id": 99}
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(coco_root / "annotations" / "instances_train2017.json",
                      "annotations/instances_train2017.json")  # fmt: skip
        archive.writestr("annotations/instances_val2017.json", json.dumps(content))
    server.files[ANNOTATIONS] = packed.read_bytes()
    with pytest.raises(TrainError, match=r"val2017.zip holds 1 pictures, .*val2017.json names 2"):
        fetch(server, root)
    assert not (root / "val2017").exists()


def test_space_is_looked_at_before_anything_is_fetched(server, root):
    sizes = {path: len(content) for path, content in server.files.items()}
    needed = sizes[ANNOTATIONS] * 3 + sizes[VAL] * 2 + sizes[TRAIN] * 2
    with pytest.raises(
        TrainError, match=r"COCO needs 0.0 GB in .*0.0 GB are free: free some.*--coco"
    ):
        fetch(server, root, free=needed - 1)
    assert {method for method, *_ in server.asked} == {"HEAD"}
    fetch(server, root, free=needed)


def test_what_came_before_needs_no_space_again(server, root):
    sizes = {path: len(content) for path, content in server.files.items()}
    needed = sizes[ANNOTATIONS] * 3 + sizes[VAL] * 2 + sizes[TRAIN] * 2
    root.mkdir()
    (root / "train2017.zip").write_bytes(server.files[TRAIN])
    fetch(server, root, free=needed - sizes[TRAIN])
    assert server.gets(TRAIN) == []


def test_a_full_disk_keeps_what_came(server, root, coco_root, monkeypatch):
    def full(remote, part, on_progress):
        part.write_bytes(server.files[VAL][:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(room, "_receive", full)
        with pytest.raises(TrainError, match=r"cannot write .*part: No space left .*make room"):
            fetch(server, root)
    fetch(server, root)
    assert_whole(root, coco_root)


def test_a_folder_half_unpacked_is_unpacked_anew(server, root, coco_root, monkeypatch):
    def killed(self, name, place):
        (place / "val2017").mkdir(parents=True)
        (place / "val2017" / "half.jpg").write_bytes(b"half")
        raise KeyboardInterrupt

    (root / "annotations").mkdir(parents=True)
    for name in ("train2017", "val2017"):
        file = f"annotations/instances_{name}.json"
        (root / file).write_bytes((coco_root / file).read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extract", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(server, root)
    assert not (root / "val2017").exists()
    fetch(server, root)
    assert_whole(root, coco_root)
    assert server.gets(VAL) == [None]
