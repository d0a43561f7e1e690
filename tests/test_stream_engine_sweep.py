"""The cache of engines stays bounded, and nothing that is in use goes."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from stream.backends.engine_cache import EngineKey, find, keep, notes_file, read_notes, replace
from stream.backends.engine_sweep import _DAY_S, _MOST, _UNUSED_DAYS, hold, sweep

ROOT = Path(__file__).parent.parent
NOW_S = 2e9
LONG = _UNUSED_DAYS + 1


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "person.onnx"
    path.write_bytes(b"a network")
    return path


@pytest.fixture
def cached(network, tmp_path):
    """cached(driver, days) keeps an engine that was last used so many days ago."""

    def make(driver: str, days: float) -> Path:
        key = EngineKey.of(network, (160, 256), {"driver": driver})
        path = keep(key, driver.encode(), {}, tmp_path / "cache")
        assert path is not None
        return dated(path, days)

    return make


def dated(path: Path, days: float) -> Path:
    os.utime(path, (NOW_S - days * _DAY_S,) * 2)
    return path


def test_what_was_not_used_for_long_goes_with_its_card(cached, tmp_path) -> None:
    old, used = cached("580", LONG), cached("590", _UNUSED_DAYS - 1)
    notes = [
        notes_file(kind, {"gpu": "RTX"}, tmp_path / "cache") for kind in ("timings", "kernels")
    ]
    for each in notes:
        replace(each, b"notes")
    dated(notes[0], LONG)
    dated(notes[1], 0)
    left = tmp_path / "cache" / ".person.engine.77.part"
    left.write_bytes(b"half of an engine, whose program died")
    dated(left, LONG)
    stranger = tmp_path / "cache" / "readme.txt"
    stranger.write_text("somebody's")
    dated(stranger, LONG)
    assert set(sweep(tmp_path / "cache", NOW_S)) == {old, notes[0], left}
    kept = {used, used.with_suffix(".json"), notes[1], stranger}
    assert set((tmp_path / "cache").iterdir()) == kept
    assert sweep(tmp_path / "cache", NOW_S) == []


def test_of_too_many_those_unused_the_longest_go(cached, tmp_path) -> None:
    paths = [cached(f"driver {number}", number / 10) for number in range(_MOST + 3)]
    assert sweep(tmp_path / "cache", NOW_S) == paths[_MOST:]
    assert set((tmp_path / "cache").glob("*.engine")) == set(paths[:_MOST])


def test_an_engine_that_runs_stays_however_old(cached, tmp_path) -> None:
    path = cached("580", 0)
    held = hold(path)
    assert held is not None
    with closing(held):
        dated(path, 10 * LONG)  # a service that has run for most of a year
        assert sweep(tmp_path / "cache", NOW_S) == []
        assert path.exists() and path.with_suffix(".json").exists()
    assert sweep(tmp_path / "cache", NOW_S) == [path]


def test_an_engine_that_another_program_runs_stays(cached, tmp_path) -> None:
    path = cached("580", 0)
    code = f"""
import sys
from pathlib import Path
from stream.backends.engine_sweep import hold
held = hold(Path({str(path)!r}))
print("held", flush=True)
sys.stdin.read()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        dated(path, LONG)
        assert sweep(tmp_path / "cache", NOW_S) == []
        other.communicate()
    assert sweep(tmp_path / "cache", NOW_S) == [path]


def test_to_hold_is_to_use(cached, tmp_path) -> None:
    path = cached("580", LONG)
    notes = notes_file("timings", {"gpu": "RTX"}, tmp_path / "cache")
    replace(notes, b"notes")
    for each in (path, notes):
        os.utime(each, (0, 0))
    assert read_notes(notes) == b"notes" and notes.stat().st_mtime > 0
    hold(path).close()
    assert path.stat().st_mtime > 0


def test_two_may_hold_one_engine(cached, tmp_path) -> None:
    path = cached("580", 0)
    one, other = hold(path), hold(path)
    dated(path, LONG)
    one.close()
    assert sweep(tmp_path / "cache", NOW_S) == []
    other.close()
    assert sweep(tmp_path / "cache", NOW_S) == [path]


def test_what_is_not_there_is_not_held(tmp_path) -> None:
    assert hold(tmp_path / "none.engine") is None
    assert sweep(tmp_path / "nowhere", NOW_S) == []


def test_what_cannot_be_removed_is_no_error(cached, tmp_path, monkeypatch) -> None:
    path = cached("580", LONG)

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "in use")

    monkeypatch.setattr(Path, "unlink", refused)
    assert sweep(tmp_path / "cache", NOW_S) == [] and path.with_suffix(".json").exists()


def test_an_engine_that_was_swept_is_simply_built_again(cached, network, tmp_path) -> None:
    key = EngineKey.of(network, (160, 256), {"driver": "580"})
    cached("580", LONG)
    sweep(tmp_path / "cache", NOW_S)
    assert find(key, [tmp_path / "cache"]) is None
    assert keep(key, b"new", {}, tmp_path / "cache") is not None
    assert find(key, [tmp_path / "cache"]) == b"new"
