"""Scenarios: nobody watches, and somebody comes."""

from __future__ import annotations

import time

import pytest

from rig.devices import MODULES, VIRTUAL, WEBCAM, renew_loopbacks, wait_until
from rig.stage import STALL_S, longest_gap
from stream.v4l2 import Readers

IDLE_CPU = 0.02


def test_nobody_watches_and_somebody_comes(stage, note, pause):
    stage.play()
    program = stage.live()
    first = stage.read(lambda each: None)
    stage.wait_for_person()
    first.stop()
    left_s = time.monotonic()
    wait_until(lambda: not program.holds(WEBCAM), 10, "the webcam is released")
    released_s = time.monotonic() - left_s
    pause(1)
    cpu_s, began_s = program.cpu_s(), time.monotonic()
    pause(5)
    cpu = (program.cpu_s() - cpu_s) / (time.monotonic() - began_s)
    assert not program.holds(WEBCAM)
    came_s = time.monotonic()
    reader = stage.read(lambda each: None)
    person_s, _ = longest_gap([came_s, stage.wait_for_person(10, came_s)])
    wake_s = stage.wait_for(lambda each: True, 1, "anything", came_s) - came_s
    reader.wait_for(10)
    assert program.end() == 0
    figures = stage.check(came_s)
    note(
        released_after_s=round(released_s, 2),
        idle_cpu_percent=round(100 * cpu, 2),
        output_after_s=round(wake_s, 2),
        person_after_s=round(person_s, 2),
        **figures,
    )
    assert cpu <= IDLE_CPU
    assert person_s <= STALL_S


def test_a_driver_that_cannot_tell_who_reads(stage, note, pause):
    if not (MODULES / "v4l2loopback-old.ko").exists():
        pytest.skip(f"v4l2loopback 0.12.7 is not in {MODULES}")
    renew_loopbacks("old-loopback")
    with pytest.raises(OSError):
        Readers(VIRTUAL)
    stage.play()
    program = stage.live()
    first = stage.read(lambda each: None)
    stage.wait_for_person()
    first.stop()
    pause(5)
    cpu_s, began_s = program.cpu_s(), time.monotonic()
    pause(3)
    cpu = (program.cpu_s() - cpu_s) / (time.monotonic() - began_s)
    rests = not program.holds(WEBCAM)
    came_s = time.monotonic()
    reader = stage.read(lambda each: None)
    person_s, _ = longest_gap([came_s, stage.wait_for_person(10, came_s)])
    reader.wait_for(5)
    assert program.end() == 0
    note(
        rests=rests,
        idle_cpu_percent=round(100 * cpu, 2),
        person_after_s=round(person_s, 2),
        **stage.check(came_s),
    )
    assert person_s <= STALL_S
    assert not rests or cpu <= IDLE_CPU


def test_it_ends_while_nobody_watches(stage, note, pause):
    stage.play()
    program = stage.live()
    stage.read(lambda each: None).stop()
    pause(2)
    began_s = time.monotonic()
    assert program.end() == 0, program.told
    note(ended_after_s=round(time.monotonic() - began_s, 2))
