"""Scenarios: how a live run begins, and begins again."""

from __future__ import annotations

import signal

from rig.devices import VIRTUAL, VIVID, Program, Seen, captures, wait_until
from rig.room import GREEN_YUV, checksum, like_the_room
from stream.v4l2 import format_of


def test_the_first_pictures_show_no_room(stage, note):
    stage.play()
    seen: list[Seen] = []
    program = stage.live("--always-on")
    reader = stage.read(lambda each: seen.append(each) if len(seen) < 200 else None)
    stage.wait_for_person()
    reader.wait_for(60)
    program.end()
    figures = stage.check()
    written = {each.crc for each in stage.written()}
    strangers = [number for number, each in enumerate(seen) if checksum(each.planes) not in written]
    assert not strangers, f"pictures {strangers} of the reader were never written, or torn"
    assert like_the_room(seen[0].planes) == 0
    first_s = stage.written()[0].at_s
    note(**figures, read=len(seen), person_after_s=round(stage.wait_for_person() - first_s, 2))


def test_after_kill_9_it_starts_again_before_the_same_reader(stage, note):
    stage.play()
    killed = stage.live("--always-on")
    reader = stage.read(lambda each: None)
    stage.wait_for_person()
    killed.kill()
    read = len(reader.times_s)
    program = stage.live("--always-on")
    stage.wait_for_person()
    reader.wait_for(read + 30)
    assert program.end() == 0
    note(**stage.check())


def test_a_reader_of_another_size_that_stayed_gets_whole_pictures(stage, note):
    small = stage.play()
    killed = stage.live("--always-on")
    torn: list[tuple[int, ...]] = []

    def look(each: Seen) -> None:
        """A picture of another size, taken for one of this, would not be green in its corner."""
        corner = tuple(int(plane[5, 5]) for plane in each.planes)
        if any(abs(is_ - green) > 3 for is_, green in zip(corner, GREEN_YUV, strict=True)):
            torn.append(corner)

    reader = stage.read(look)
    stage.wait_for_person()
    killed.kill()
    small.stop()
    stage.play("room720.avi")
    read = len(reader.times_s)
    program = stage.live("--always-on")
    stage.wait_for_person()
    reader.wait_for(read + 30)
    assert not torn
    assert "640×360" in program.told, "it tells that another size is wanted"
    reader.stop()
    wait_until(
        lambda: captures(VIRTUAL) and format_of(VIRTUAL).size_hw == (720, 1280),
        5,
        "the size that it wanted, now that nobody holds another",
    )
    stage.read(lambda each: None).wait_for(30)
    assert program.end() == 0
    note(told=program.told)


def test_a_busy_virtual_camera_is_told_from_a_missing_one(stage, note):
    stage.play()
    stage.play("grays.avi", VIRTUAL)
    program = stage.live()
    assert program.wait(60) == 1
    assert "ffmpeg" in program.told and "Traceback" not in program.told, program.told
    missing = Program("--camera", VIVID, "--output", "/dev/video77")
    assert missing.wait(60) == 1
    assert "/dev/video77" in missing.told and "Traceback" not in missing.told, missing.told
    note(busy=program.told, missing=missing.told)


def test_a_missing_camera_is_told(stage, note):
    program = stage.live(camera="/dev/video77")
    assert program.wait(60) == 1
    assert "/dev/video77" in program.told and "Traceback" not in program.told, program.told
    note(missing=program.told)


def test_a_second_one_on_the_same_camera_says_who_has_it(stage, note):
    first = stage.live("--always-on", camera=VIVID)
    stage.wait_for(lambda each: each.stand_in is None, 60, "a picture of vivid")
    second = Program("--camera", VIVID, "--output", "/dev/video9")
    assert second.wait(60) == 1
    assert f"({first.pid})" in second.told, second.told
    assert "Traceback" not in second.told, second.told
    first.send(signal.SIGTERM)
    wait_until(lambda: not first.alive, 10, "the first one ends")
    note(told=second.told)
