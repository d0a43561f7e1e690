"""Who has a device open, and when that changes: on any file, as Linux has no device to spare."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("reads Linux's /proc and inotify", allow_module_level=True)

from stream.holders import holders
from stream.openers import Openers

HOLDS = "import sys; device = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


@pytest.fixture
def terminal() -> str:
    """A device that nobody else has open."""
    master, slave = os.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def test_another_program_is_named_and_this_one_is_not(terminal: str) -> None:
    assert holders(terminal) == []
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, terminal], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"open\n"
        name = Path(f"/proc/{other.pid}/comm").read_text().strip()
        assert holders(terminal) == [f"{name} ({other.pid})"]
        other.communicate(b"")
    assert holders(terminal) == []


def test_a_device_that_is_not_there_is_held_by_nobody() -> None:
    assert holders("/dev/no-such-device") == []


def test_whenever_something_changes_it_is_looked_who_holds_it(tmp_path, monkeypatch) -> None:
    path = tmp_path / "device"
    path.touch()
    there: list[str] = []
    monkeypatch.setattr("stream.openers.holders", lambda path: there)
    openers = Openers(str(path))
    seen = [openers.watching(), openers.watching()]
    with path.open():
        there.append("zoom (42)")
        seen.append(openers.watching())
        with path.open():  # one descriptor more of the same program, and closed again
            pass
        seen += [openers.watching(), openers.watching()]
    there.clear()
    seen += [openers.watching(), openers.watching()]
    openers.close()
    openers.close()
    assert seen == [False, None, True, True, None, False, None]


def test_what_this_program_opens_itself_is_no_reader(terminal: str) -> None:
    openers = Openers(terminal)
    openers.watching()
    Path(terminal).open("rb", buffering=0).close()
    assert not openers.watching()
    openers.close()


def test_one_who_came_before_counts(terminal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.openers.holders", lambda path: ["zoom (42)"])
    openers = Openers(terminal)
    assert openers.watching() is True
    openers.close()


def test_a_device_that_cannot_be_watched_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        Openers("/dev/no-such-device")
