"""Scenario: keys, typed on a terminal."""

from __future__ import annotations

from rig.devices import WEBCAM, wait_until


def test_keys_on_a_terminal(stage, note, pause):
    stage.play()
    program = stage.live("--always-on", terminal=True)
    stage.read(lambda each: None)
    stage.wait_for_person()
    program.type(" ")
    stage.wait_for(lambda each: each.stand_in == "be right back", 10, "the card of the pause")
    wait_until(lambda: not program.holds(WEBCAM), 5, "the webcam is released")
    pause(1)
    program.type(" ")
    began_s = stage.written()[-1].at_s
    stage.wait_for_person(10, began_s)
    program.type("m")
    pause(0.5)
    program.type("q")
    assert program.wait(10) == 0, program.told
    assert "Traceback" not in program.told
    note(**stage.check())
