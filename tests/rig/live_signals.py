"""Scenarios: what ends a live run, however it was started."""

from __future__ import annotations

import signal

import pytest

from rig.devices import VIRTUAL, captures, wait_until

FROM_A_SCRIPT = 'trap "" INT; exec "$@"'  # as a script's & does it: SIGINT is ignored from birth


@pytest.mark.parametrize("shell", ["", FROM_A_SCRIPT], ids=["started", "in the background"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_it_ends_at_once_and_tidily(stage, note, number, shell):
    player = stage.play()
    program = stage.live("--always-on", shell=shell)
    reader = stage.read(lambda each: None)
    stage.wait_for_person()
    program.send(number)
    code = program.wait(5)
    assert code == 0, program.told
    assert "Traceback" not in program.told
    reader.stop()
    wait_until(lambda: not captures(VIRTUAL), 5, "the virtual camera is free")
    player.stop()
    note(code=code, told=program.told.splitlines()[-3:])


def test_it_ends_while_the_camera_is_lost(stage, note):
    player = stage.play()
    program = stage.live("--always-on")
    reader = stage.read(lambda each: None)
    stage.wait_for_person()
    player.stop()
    stage.wait_for(lambda each: bool(each.stand_in), 10, "the card")
    assert program.end(seconds=5) == 0, program.told
    reader.stop()
    note(**stage.check())
