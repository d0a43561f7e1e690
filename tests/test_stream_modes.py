"""Which of a camera's modes is asked for first."""

from __future__ import annotations

from fractions import Fraction

import pytest

from stream.sources.modes import ranked, said
from stream.v4l2 import Mode


def offered(*modes: str) -> list[Mode]:
    """Modes from words such as "YUYV 1280x720 10"."""
    made = []
    for fourcc, size, fps in (mode.split() for mode in modes):
        w, h = map(int, size.split("x"))
        made.append(Mode(fourcc, (h, w), Fraction(fps)))
    return made


@pytest.mark.parametrize(
    ("modes", "first"),
    [
        # 5 or 10 fps uncompressed, 30 as JPEG: what most webcams do.
        (["YUYV 1280x720 10", "MJPG 1280x720 30"], "MJPG"),
        (["YUYV 1280x720 30", "MJPG 1280x720 30"], "YUYV"),  # nothing to decode
        (["YUYV 1280x720 25", "MJPG 1280x720 30"], "MJPG"),
        (["MJPG 1280x720 25", "YUYV 1280x720 25"], "YUYV"),  # both slower, but equally
        (["YUYV 1280x720 30", "NV12 1280x720 30"], "NV12"),  # the cheaper of two
        (["YUYV 1280x720 60", "MJPG 1280x720 120"], "YUYV"),  # more than asked is no gain
        (["RGB3 1280x720 30", "YUYV 1280x720 30"], "YUYV"),
    ],
)
def test_the_cheapest_format_that_gives_the_rate_comes_first(modes: list[str], first: str) -> None:
    assert ranked(offered(*modes), None, None)[0].fourcc == first
    assert ranked(reversed(offered(*modes)), None, None)[0].fourcc == first


@pytest.mark.parametrize(
    ("sizes", "first_hw"),
    [
        (["640x480 30", "1280x720 30", "1920x1080 30"], (720, 1280)),
        (["640x480 30", "800x600 30"], (600, 800)),  # the nearest
        (["640x480 30", "1280x720 10"], (480, 640)),  # 720 lines, but as slides
        (["320x240 30", "1280x720 25"], (720, 1280)),  # a camera for 50 Hz
        (["320x240 15", "1280x720 10"], (720, 1280)),  # slow at any size
    ],
)
def test_720_lines_where_they_are_fast_enough_else_the_nearest(
    sizes: list[str], first_hw: tuple[int, int]
) -> None:
    modes = offered(*(f"YUYV {size}" for size in sizes))
    assert ranked(modes, None, None)[0].size_hw == first_hw


def test_an_asked_size_is_kept_whatever_it_costs() -> None:
    modes = offered("YUYV 640x480 30", "YUYV 1920x1080 5", "MJPG 1920x1080 15")
    assert [said(mode) for mode in ranked(modes, (1080, 1920), None)] == [
        "1920×1080 MJPG at 15 fps",
        "1920×1080 YUYV at 5 fps",
    ]
    assert ranked(modes, (1000, 1000), None) == []


def test_an_asked_rate_decides_the_format() -> None:
    modes = offered("YUYV 1280x720 30", "MJPG 1280x720 60")
    assert ranked(modes, None, Fraction(60))[0].fourcc == "MJPG"
    assert ranked(modes, None, Fraction(15))[0].fourcc == "YUYV"


def test_what_cannot_be_read_is_never_asked_for() -> None:
    assert ranked(offered("GREY 1280x720 30", "H264 1280x720 30"), None, None) == []
