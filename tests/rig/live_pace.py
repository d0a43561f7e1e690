"""Scenario: a minute of a call."""

from __future__ import annotations

import statistics
import subprocess
import time

from rig.devices import CLIPS, GREEN, VIRTUAL, WEBCAM, Program, gaps

SECONDS, HD_SECONDS = 60, 20


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


def test_720_lines_as_a_webcam_gives_them_raw(stage, note, pause):
    raw = "/tmp/room720.nut"
    made = ["-i", str(CLIPS / "room720.avi"), "-t", "1", "-pix_fmt", "yuyv422", "-c:v", "rawvideo"]
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *made, raw], check=True)
    stage.play(raw)
    # Not under watch: looking at every frame costs more than making it.
    words = ("--camera", WEBCAM, "--output", VIRTUAL, "--background", GREEN, "--always-on")
    program = Program(*words)
    reader = stage.read(lambda each: None)
    reader.wait_for(60)
    pause(2)
    cpu_s, began_s, read = program.cpu_s(), time.monotonic(), len(reader.times_s)
    pause(HD_SECONDS)
    cpu_s, seconds = program.cpu_s() - cpu_s, time.monotonic() - began_s
    frames = len(reader.times_s) - read
    assert program.end() == 0
    note(
        size_hw=reader.size_hw,
        fps=round(frames / seconds, 2),
        cpu_ms_per_frame=round(1000 * cpu_s / frames, 1),
        told=program.told.splitlines()[-12:],
    )
    assert reader.size_hw == (720, 1280)
    assert frames / seconds >= 15
