"""Attendant: keys, readers that come and go, a tick; on a thread that ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from stream import attendant
from stream.attendant import Attendant
from stream.control import LiveControl, Settings


class Pipe:
    """Stands for keys and for readers: something comes, and is taken."""

    def __init__(self) -> None:
        self._end, self._start = os.pipe()
        self.waiting: list[object] = []
        self.closed = 0

    def come(self, what: object) -> None:
        """From another program, or a finger."""
        self.waiting.append(what)
        os.write(self._start, b"!")

    def fileno(self) -> int:
        """For select."""
        return self._end

    def _take(self) -> list[object]:
        if not self.waiting:
            return []
        os.read(self._end, 64)
        taken, self.waiting = self.waiting, []
        return taken

    def watching(self) -> bool | None:
        """The last that came."""
        taken = self._take()
        return bool(taken[-1]) if taken else None

    def react(self) -> bool:
        """A bug where None was typed, the end where False was."""
        taken = self._take()
        if None in taken:
            raise ZeroDivisionError("a bug")
        return False not in taken

    def close(self) -> None:
        """Count it."""
        self.closed += 1


@pytest.fixture
def control() -> LiveControl:
    return LiveControl(Settings("blur"))


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    yield (made := Pipe())
    os.close(made._start)
    os.close(made._end)


def test_a_reader_that_leaves_is_missed_and_one_that_comes_is_served(
    control, pipe, monkeypatch
) -> None:
    monkeypatch.setattr(attendant, "_REST_AFTER_S", 0.0)
    attends = Attendant(control, None, pipe, lambda: None)
    for watching in (False, True, False):
        pipe.come(watching)
        control.wait_until(lambda now, seen=watching: now.watched == seen)
    attends.close()
    assert pipe.closed == 1


def test_a_moment_without_a_reader_is_no_rest(control) -> None:
    attends = Attendant(control, None, None, lambda: None)
    attends.close()
    for watching, now_s, expected in [
        *((False, 10.0, True), (None, 11.9, True), (True, 11.9, True), (None, 20.0, True)),
        *((False, 30.0, True), (None, 31.9, True), (None, 32.0, False), (None, 33.0, False)),
        (True, 40.0, True),
    ]:
        attends._see(watching, now_s)
        assert control.settings.watched == expected, now_s


def test_it_ticks_and_closes_what_it_was_given(control, pipe) -> None:
    ticked = threading.Event()
    attends = Attendant(control, None, pipe, ticked.set)
    assert ticked.wait(30)
    attends.close()
    attends.close()
    assert pipe.closed == 1


def test_a_terminal_that_is_gone_is_not_asked_again(control, pipe) -> None:
    ticks = threading.Semaphore(0)
    attends = Attendant(control, pipe, None, ticks.release)
    pipe.come(False)
    for _ in range(2):
        assert ticks.acquire(timeout=30)
    pipe.come(None)
    assert ticks.acquire(timeout=30)
    attends.close()


@pytest.mark.parametrize("error", [BrokenPipeError("nobody reads"), SystemExit(1)])
def test_a_status_that_nobody_reads_ends_no_call(control, pipe, error) -> None:
    told = threading.Event()

    def tick() -> None:
        told.set()
        raise error

    attends = Attendant(control, None, pipe, tick)
    assert told.wait(30)
    pipe.come(True)
    pipe.come(False)
    attends.close()
    assert not control.settings.ended


def test_a_bug_ends_the_run_and_is_raised(control, pipe) -> None:
    attends = Attendant(control, pipe, None, lambda: None)
    pipe.come(None)
    control.wait_until(lambda now: now.ended)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        attends.close()
