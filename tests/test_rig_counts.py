"""How the soak and the rig count: with figures made up, without a guest."""

from __future__ import annotations

import numpy as np
import pytest

from rig import room, stage, verdict
from rig.stage import longest_gap

HELD = {
    "exit_code": 0,
    "room_values": 0,
    "longest_gap_ms": 99.0,
    "found_again_s": 1.9,
    "woke_s": 0.4,
    "memory_grown_mb": 0.5,
    "descriptors": [9],
    "seconds": 3600.0,
}


def samples(memory_mb, count=120):
    """One a half minute; the memory as a function of the hour."""
    hours = np.arange(count) / 120
    return [{"at_s": 3600 * hour, "memory_mb": memory_mb(hour), "descriptors": 9} for hour in hours]


def test_all_bars_hold():
    assert all(verdict.judge(HELD).values())


@pytest.mark.parametrize(
    ("bar", "value"),
    [
        ("exit_code", 1),
        ("room_values", 1),
        ("longest_gap_ms", 101.0),
        ("found_again_s", 2.1),
        ("woke_s", 0.51),
        ("memory_grown_mb", 2.1),
        ("descriptors", [9, 10]),
    ],
)
def test_each_bar_can_be_missed(bar, value):
    missed = [name for name, holds in verdict.judge({**HELD, bar: value}).items() if not holds]
    assert missed == [bar]


def test_what_a_short_run_takes_once_is_no_growth():
    assert all(verdict.judge({**HELD, "memory_grown_mb": 2.4, "seconds": 120.0}).values())


def test_memory_that_grows_has_its_slope():
    measured = verdict.of_samples(samples(lambda hour: 100 + 12 * hour))
    assert measured["memory_slope_mb_per_hour"] == pytest.approx(12, rel=0.01)
    assert measured["memory_grown_mb"] == pytest.approx(5.5, abs=0.2)  # over half of 11 twelfths
    assert measured["descriptors"] == [9]


def test_memory_that_sways_has_none():
    measured = verdict.of_samples(samples(lambda hour: 100 + (round(hour * 120) % 2)))
    assert abs(measured["memory_slope_mb_per_hour"]) < 1
    assert abs(measured["memory_grown_mb"]) <= 1


def test_standstills_are_taken_out_of_gaps(tmp_path, monkeypatch):
    standstills = tmp_path / "standstills"
    standstills.write_text("1.00 1.25\n5.0 6.0\n")
    monkeypatch.setattr(stage, "STANDSTILLS", standstills)
    own_s, whole_s = longest_gap([0.9, 1.3, 1.38])
    assert own_s == pytest.approx(0.15)
    assert whole_s == pytest.approx(0.4)


def test_only_what_lies_outside_the_matte_counts_as_room():
    def planes(*values):
        sizes = ((8, 8), (4, 4), (4, 4))
        return tuple(np.full(hw, v, np.uint8) for hw, v in zip(sizes, values, strict=True))

    alone, shown = planes(*room.GREEN_YUV), planes(*room.GREEN_YUV)
    alpha = np.zeros((8, 8), np.float32)
    alpha[:, :4] = 1
    shown[0][0, :] = 200  # a row, half of it within the matte
    assert room.outside_matte(shown, alone, alpha) == 4
    shown[0][0, :] = room.GREEN_YUV[0] + room.TOLERANCE
    assert room.outside_matte(shown, alone, alpha) == 0
    assert room.like_the_room(shown) == 0
    assert room.like_the_room(planes(97, *room.ROOM_UV)) == 16
