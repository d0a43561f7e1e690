"""The status line: what it says, and what becomes of it on a terminal and without one."""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from stream import terminal
from stream.control import Settings
from stream.meter import Figures
from stream.status import status
from stream.terminal import status_line

ROOT = Path(__file__).parent.parent
FIGURES = Figures(29.94, (41.2, 57.9), 900, 3)


@pytest.mark.parametrize(
    ("settings", "trouble", "line"),
    [
        ({}, "", "29.9 fps · latency 41/58 ms · dropped 3 · blur:18"),
        (
            {"mirror": True},
            "camera lost, waiting",
            "camera lost, waiting · 29.9 fps · latency 41/58 ms · dropped 3 · blur:18 · mirrored",
        ),
        (
            {"paused": True},
            "camera lost, waiting",
            "paused: camera off · 29.9 fps · latency 41/58 ms · dropped 3 · blur:18",
        ),
        (
            {"watched": False, "paused": True},
            "",
            "nobody watches: camera off · dropped 3 · blur:18",
        ),
    ],
)
def test_what_is_wrong_or_at_rest_comes_first(settings, trouble, line) -> None:
    assert status(FIGURES, Settings("blur:18", **settings), 3, [trouble] if trouble else []) == line


def test_without_a_terminal_it_is_a_line_a_minute(monkeypatch, caplog) -> None:
    caplog.set_level(logging.INFO)
    now_s = 1000.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now_s)
    with status_line() as show:
        for second in range(1, 181):
            now_s = 1000.0 + second
            show(f"second {second} [h]")
    assert caplog.messages == [f"second {second} [h]" for second in (60, 120, 180)]


PROGRAM = """
import logging, sys
import stream.terminal
logging.basicConfig(level=logging.INFO, format="%(message)s")
stream.terminal.in_foreground = lambda fd: "background" not in sys.argv
with stream.terminal.status_line() as show:
    show("29.9 fps [h] " + "x" * 200)
    logging.info("cannot use background [a].png")
    show("30.0 fps")
logging.info("the end")
"""


def screen(*words: str, term: str = "xterm") -> str:
    """What a terminal of 80 columns is sent."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": term, "COLUMNS": "80", "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-c", PROGRAM, *words]
    with os.fdopen(ours, "rb", 0) as screen, os.fdopen(theirs, "wb", 0) as terminal:
        subprocess.run(call, stderr=terminal, env=environment, check=True, timeout=60)
        sent = b""
        # What a terminal is sent comes in pieces, and after the program has ended.
        while b"the end" not in sent and select.select([screen], [], [], 20)[0]:
            sent += screen.read(65536)
        return sent.decode()


def test_on_a_terminal_one_line_is_rewritten_and_the_log_goes_above() -> None:
    sent = screen()
    assert sent.count("\r\n") <= 3, "the log's two lines, and none for the status"
    logged = sent.index("cannot use background [a].png")
    assert sent.index("29.9 fps [h]") < logged < sent.index("30.0 fps") < sent.index("the end")
    assert "…" in sent and "x" * 80 not in sent, "cut to one line"
    assert sent.index("\x1b[2K") < logged, "the status is taken away before the log is written"
    assert sent.index("\x1b[?25h") < sent.index("29.9 fps"), "the cursor stays, as for Ctrl-Z"


@pytest.mark.parametrize(("words", "term"), [(["background"], "xterm"), ([], "dumb")])
def test_where_another_program_has_the_terminal_it_keeps_quiet(words, term) -> None:
    sent = screen(*words, term=term)
    assert "fps" not in sent and "cannot use background [a].png" in sent and "the end" in sent
