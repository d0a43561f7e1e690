"""Scenarios: the camera goes, breaks and comes back; the output goes on and shows no room."""

from __future__ import annotations

import time

import pytest

from rig.devices import (
    VIVID,
    WEBCAM,
    captures,
    plug,
    press,
    unload,
    unplug_vivid,
    wait_until,
)

FOUND_S = 5.0  # after it came back, on a busy machine; the bar is 2


def a_picture(written):
    """Whether it is one, no stand-in."""
    return written.stand_in is None


def a_card(written):
    """Whether it is a stand-in that tells something."""
    return bool(written.stand_in)


def test_a_webcam_stops_and_comes_back(stage, note, pause):
    player = stage.play()
    program = stage.live("--always-on")
    stage.read(lambda each: None)
    stage.wait_for_person()
    player.stop()
    lost_s = time.monotonic()
    stage.wait_for(a_card, 5, "the card", lost_s)
    pause(2)
    stage.play()
    back_s = time.monotonic()
    found_s = stage.wait_for_person(10, back_s) - back_s
    figures = stage.check()
    assert program.end() == 0
    note(found_after_s=round(found_s, 2), **figures)
    assert found_s <= FOUND_S


def test_a_webcam_is_unplugged_and_comes_back_under_another_number(stage, note, pause):
    program = stage.live("--always-on", camera=VIVID)
    stage.read(lambda each: None)
    stage.wait_for(a_picture, 60, "a picture")
    pause(2)
    unplug_vivid()
    lost_s = time.monotonic()
    stage.wait_for(a_card, 5, "the card", lost_s)
    unload("vivid")  # its driver, too, is gone from under us
    plug("webcam", number=3)
    back_s = time.monotonic()
    found_s = stage.wait_for(a_picture, 10, "a picture again", back_s) - back_s
    figures = stage.check()
    assert program.holds("/dev/video3")
    assert program.end() == 0
    unload("vivid")
    plug("webcam")
    note(found_after_s=round(found_s, 2), **figures)
    assert found_s <= FOUND_S


@pytest.mark.parametrize(
    "error",
    [
        "disconnect",
        "inject_v4l2_buf_flag_error",
        "inject_vidioc_qbuf_error",
        "inject_fatal_streaming_error",
    ],
)
def test_a_webcam_fails(stage, note, pause, error):
    program = stage.live("--always-on", camera=VIVID)
    stage.read(lambda each: None)
    stage.wait_for(a_picture, 60, "a picture")
    pause(2)
    press(error)
    pressed_s = time.monotonic()
    pause(1)
    again_s = stage.wait_for(a_picture, 15, "a picture again", pressed_s + 1) - pressed_s
    pause(0.5)
    figures = stage.check()
    assert sum(map(a_picture, stage.written(pressed_s + again_s))) > 5, "it shows pictures again"
    assert program.end() == 0
    note(picture_after_s=round(again_s, 2), **figures)


def test_a_webcam_fails_while_it_is_opened_again(stage, note, pause):
    player = stage.play()
    program = stage.live("--always-on", camera=VIVID)
    stage.read(lambda each: None)
    stage.wait_for(a_picture, 60, "a picture")
    pause(2)
    player.stop()
    for error in ("inject_vidioc_reqbufs_error", "inject_vidioc_streamon_error"):
        press(error)
        press("disconnect")
        pressed_s = time.monotonic()
        stage.wait_for(a_card, 10, "the card", pressed_s)
        stage.wait_for(a_picture, 15, "a picture again", time.monotonic())
    figures = stage.check()
    assert program.end() == 0
    note(**figures)


def test_a_webcam_loses_half_its_pictures(stage, note, pause):
    press("percentage_of_dropped_buffers=50")
    try:
        program = stage.live("--always-on", camera=VIVID)
        stage.read(lambda each: None)
        stage.wait_for(a_picture, 60, "a picture")
        pause(6)
        figures = stage.check()
        assert program.end() == 0
    finally:
        press("percentage_of_dropped_buffers=0")
    note(**figures)


def test_the_virtual_camera_s_driver_cannot_go_while_it_is_used(stage, note, pause):
    stage.play()
    program = stage.live("--always-on")
    stage.read(lambda each: None)
    stage.wait_for_person()
    with pytest.raises(AssertionError, match="nobody uses"):
        unload("v4l2loopback", 1)
    pause(0.5)
    figures = stage.check()
    assert program.end() == 0
    note(**figures)


def test_no_room_while_a_webcam_stops_again_and_again(stage, note, pause):
    program = None
    for _ in range(5):
        player = stage.play()
        program = program or stage.live("--always-on")
        stage.wait_for_person(30, time.monotonic())
        pause(0.3)
        player.stop()
        wait_until(lambda: not captures(WEBCAM), 5, "the webcam is gone")
    assert program is not None
    figures = stage.check()
    assert program.end() == 0
    note(**figures)
