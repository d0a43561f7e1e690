"""Keys: what each does, and real ones in a pseudo-terminal, under a shell that has jobs."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream.control import LiveControl, Settings
from stream.frame import gray_frame
from stream.keys import HELP, press, terminal_keys
from stream.wardrobe import Wardrobe

ROOT = Path(__file__).parent.parent
PATIENCE_S = 60  # a broken test ends instead of hanging; no working one waits for it

# A live run but for its frames: says what the keys change.
PROGRAM = """
import os, sys, termios
from functools import partial
from stream.attendant import Attendant
from stream.control import LiveControl, Settings
from stream.keys import press, terminal_keys
from stream.signals import ended_by_signals
from stream.frame import gray_frame
from stream.wardrobe import Wardrobe

def flags():
    return termios.tcgetattr(0)[3] & (termios.ECHO | termios.ICANON)

class Told(LiveControl):
    def change(self, **changes):
        print(f"CHANGED {changes}", flush=True)
        return super().change(**changes)

before = flags()
control = Told(Settings("#00b140"))
wardrobe = Wardrobe(control, None, gray_frame((48, 64)))
keys = terminal_keys(partial(press, control=control, wardrobe=wardrobe))
attendant = Attendant(control, keys, None, lambda: None)
try:
    with ended_by_signals():
        print(f"READY {os.getpid()} ", flush=True)
        if "raises" in sys.argv:
            raise RuntimeError("a bug")
        control.wait_until(lambda settings: settings.ended)
except KeyboardInterrupt:
    print("INTERRUPTED", flush=True)
finally:
    attendant.close()
    if keys is not None:
        keys.close()
    print("ENDED", "as it was" if before == flags() else "spoiled", flush=True)
"""


@pytest.fixture
def control() -> LiveControl:
    return LiveControl(Settings("#00b140"))


@pytest.fixture
def typed(control: LiveControl) -> Iterator[Callable[[str], Settings]]:
    """typed("nm") does what those keys do; the settings then."""
    wardrobe = Wardrobe(control, None, gray_frame((48, 64)))

    def press_all(keys: str) -> Settings:
        for key in keys:
            press(key, control, wardrobe)
        return control.settings

    yield press_all
    wardrobe.close()


# What they do


@pytest.mark.parametrize("keys", ["n", "p", "nn", "ppp", "np"])
def test_next_and_previous_go_around(typed, keys) -> None:
    assert typed(keys).background == ["#00b140", "blur"][len(keys) % 2]


@pytest.mark.parametrize("more", ["+", "="])
@pytest.mark.parametrize("less", ["-", "_"])
def test_the_first_press_brings_blur_and_more_and_less_cancel(typed, more, less) -> None:
    assert typed(more).background == "blur"
    assert typed(more).background == "blur:22.5"  # 18 · 1.25
    assert typed(less).background == "blur:18"
    assert typed(less).background == "blur:14.4"


@pytest.mark.parametrize(("key", "name"), [(" ", "paused"), ("m", "mirror")])
def test_pause_and_mirror_are_switches(typed, key, name) -> None:
    assert getattr(typed(key), name) is True
    assert getattr(typed(key), name) is False


def test_q_ends_and_others_do_nothing(typed) -> None:
    before = typed("")
    assert typed("xyz\x1b\n7ф") is before
    assert typed("q").ended


@pytest.mark.parametrize("key", ["h", "?"])
def test_help_is_told(typed, caplog, key) -> None:
    caplog.set_level("INFO")
    typed(key)
    assert caplog.messages == [HELP]


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("nP ", ["n", "P", " "]),
        ("\x1b[A\x1b[B\x1b[C\x1b[D", ["p", "n", "n", "p"]),
        ("\x1bOA", ["p"]),
        ("\x1b[1;5C", ["n"]),
        ("\x1b[15~q", ["", "q"]),  # F5 is nobody's, and its numbers are no keys
        ("\x1b", ["\x1b"]),
        ("ф", ["ф"]),
    ],
)
def test_what_a_terminal_sends_is_understood(monkeypatch, sent, keys) -> None:
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    ours, theirs = pty.openpty()
    monkeypatch.setattr("stream.keys.in_foreground", lambda fd: True)
    with os.fdopen(theirs) as terminal, os.fdopen(ours, "wb", 0) as fingers:
        monkeypatch.setattr(sys, "stdin", terminal)
        heard: list[str] = []
        reader = terminal_keys(heard.append)
        assert reader is not None
        fingers.write(sent.encode())
        assert select.select([reader], [], [], PATIENCE_S)[0] and reader.react()
        assert heard == keys
        reader.close()
        reader.close()


def test_without_a_terminal_there_are_no_keys(monkeypatch) -> None:
    with Path(os.devnull).open() as nothing:
        for stdin in (nothing, None):
            monkeypatch.setattr(sys, "stdin", stdin)
            assert terminal_keys(lambda key: None) is None


# Real ones


class Typist:
    """Somebody at a terminal in which a command runs."""

    def __init__(self, *command: str) -> None:
        pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
        self.screen = ""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(ROOT)
            os.execvpe(command[0], list(command), {**os.environ, "PYTHONPATH": str(ROOT)})

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._fd, text.encode())

    def sees(self, text: str) -> bool:
        """Wait until the terminal has shown it."""
        until_s = time.monotonic() + PATIENCE_S
        while text not in self.screen and time.monotonic() < until_s and self.look():
            pass
        return text in self.screen

    def presses(self, key: str, until: str) -> bool:
        """Press a key again and again until something is seen: it may not be heard at once."""
        until_s = time.monotonic() + PATIENCE_S
        while until not in self.screen and time.monotonic() < until_s and self.look():
            self.type(key)
        return until in self.screen

    def look(self) -> bool:
        """Read what is new on the screen; False when all who had the terminal have ended."""
        if select.select([self._fd], [], [], 0.2)[0]:
            try:
                self.screen += os.read(self._fd, 4096).decode(errors="replace")
            except OSError:
                return False
        return True

    def close(self) -> None:
        """Hang up, which ends what runs there."""
        os.close(self._fd)
        os.waitpid(self._pid, 0)


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return str(path)


@pytest.fixture
def typist(program: str) -> Iterator[Typist]:
    """At a shell that has jobs; `$P` there is the program."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash, for its jobs")
    someone = Typist(bash, "--norc", "--noprofile", "--noediting", "-i")
    someone.type(f"stty -echo; P='{sys.executable} {program}'; echo HE''RE\n")
    assert someone.sees("HERE")
    yield someone
    someone.close()


def test_keys_work_at_once_and_the_terminal_is_as_it_was(typist) -> None:
    typist.type("$P; stty -a\n")
    assert typist.sees("READY")
    typist.type("n+m \x1b[D")
    assert typist.sees("{'background': '#00b140'}"), typist.screen
    for said in ("{'background': 'blur'}", "'blur:22.5'", "{'mirror': True}", "{'paused': True}"):
        assert said in typist.screen
    typist.type("q")
    assert typist.sees("ENDED as it was") and typist.sees(" icanon"), typist.screen


@pytest.mark.parametrize(("words", "key"), [("", "\x03"), ("raises", "")])
def test_ctrl_c_and_a_bug_leave_the_terminal_as_it_was(typist, words, key) -> None:
    typist.type(f"$P {words}; stty -a\n")
    assert typist.sees("READY")
    typist.type(key)
    assert typist.sees("ENDED as it was") and typist.sees(" icanon"), typist.screen


@pytest.mark.parametrize("how", ["Ctrl-Z", "SIGSTOP"])
def test_stopped_and_in_the_foreground_again_keys_go_on(typist, how) -> None:
    typist.type("$P\n")
    assert typist.sees("READY")
    typist.type("m")
    assert typist.sees("{'mirror': True}")
    if how == "Ctrl-Z":
        typist.type("\x1a")
    else:
        os.kill(int(typist.screen.split("READY ")[1].split()[0]), signal.SIGSTOP)
    assert typist.sees("Stopped"), typist.screen
    typist.type("stty -a\n")
    assert typist.sees(" icanon"), typist.screen
    typist.type("fg\n")
    assert typist.presses("m", until="{'mirror': False}"), typist.screen
    typist.type("q")
    assert typist.sees("ENDED as it was"), typist.screen


@pytest.mark.parametrize("start", ["$P &\n", "$P\n"])
def test_in_the_background_it_runs_and_leaves_the_keys_to_the_shell(typist, start) -> None:
    typist.type(start)
    assert typist.sees("READY")
    if "&" not in start:
        typist.type("\x1a")
        assert typist.sees("Stopped"), typist.screen
        typist.type("bg\n")
    typist.type("m\necho th''ere\njobs\n")  # m is no command of the shell
    assert typist.sees("there") and typist.sees("Running"), typist.screen
    assert "CHANGED" not in typist.screen
    typist.type("fg\n")
    assert typist.presses("m", until="{'mirror': True}"), typist.screen
    typist.type("q")
    assert typist.sees("ENDED as it was"), typist.screen


def test_closing_the_terminal_ends_it(program) -> None:
    someone = Typist(sys.executable, program)
    assert someone.sees("READY")
    someone.close()  # waits for its end
