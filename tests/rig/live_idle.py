"""Scenarios: nobody watches, and somebody comes."""

from __future__ import annotations

import time

import pytest

from rig.devices import VIRTUAL, WEBCAM, wait_until
from rig.stage import longest_gap
from stream.v4l2 import Readers

IDLE_CPU, WAKE_S = 0.02, 0.5


def can_tell() -> bool:
    """Whether the driver tells who reads (v4l2loopback since 0.13)."""
    try:
        Readers(VIRTUAL).close()
    except OSError:
        return False
    return True


def test_nobody_watches_and_somebody_comes(stage, note, pause):
    stage.play()
    program = stage.live()
    first = stage.read(lambda each: None)
    stage.wait_for_person()
    first.stop()
    left_s = time.monotonic()
    if not can_tell():
        pytest.skip("this v4l2loopback cannot tell who reads it: the fallback is tested instead")
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
    assert person_s <= WAKE_S


def test_it_wakes_whatever_the_driver_can_tell(stage, note, pause):
    stage.play()
    program = stage.live()
    stage.read(lambda each: None).stop()
    pause(3)
    came_s = time.monotonic()
    reader = stage.read(lambda each: None)
    reader.wait_for(5)
    person_s, _ = longest_gap([came_s, stage.wait_for_person(10, came_s)])
    assert program.end() == 0
    note(driver_tells=can_tell(), person_after_s=round(person_s, 2), **stage.check(came_s))
    assert person_s <= WAKE_S + 0.1  # beside it, that reader began


def test_it_ends_while_nobody_watches(stage, note, pause):
    stage.play()
    program = stage.live()
    stage.read(lambda each: None).stop()
    pause(2)
    began_s = time.monotonic()
    assert program.end() == 0, program.told
    note(ended_after_s=round(time.monotonic() - began_s, 2))
