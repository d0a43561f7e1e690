"""Scenario: a minute of a call."""

from __future__ import annotations

import statistics
import time

from rig.devices import gaps

SECONDS = 60


def test_30_a_second_for_a_minute(stage, note, pause):
    stage.play()
    program = stage.live("--always-on")
    reader = stage.read(lambda each: None)
    stage.wait_for_person()
    pause(2)
    cpu_s, began_s, read = program.cpu_s(), time.monotonic(), len(reader.times_s)
    pause(SECONDS)
    seconds = time.monotonic() - began_s
    cpu = (program.cpu_s() - cpu_s) / seconds
    fps = (len(reader.times_s) - read) / seconds
    between_ms = [1000 * gap for gap in gaps(reader.times_s[read:])]
    assert program.end() == 0
    percentiles = statistics.quantiles(between_ms, n=100)
    note(
        fps=round(fps, 2),
        cpu_percent=round(100 * cpu),
        between_p5_ms=round(percentiles[4], 1),
        between_p95_ms=round(percentiles[94], 1),
        told=program.told.splitlines()[-12:],
        **stage.check(began_s),
    )
    assert fps >= 29
