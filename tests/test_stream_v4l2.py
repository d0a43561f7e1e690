"""What video devices answer is read rightly."""

from __future__ import annotations

import errno
import struct
import sys
from pathlib import Path

import pytest

from stream import v4l2

if sys.platform != "linux":
    pytest.skip("V4L2 devices are Linux's", allow_module_level=True)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A file that can be opened; the device behind it is the test's."""
    (tmp_path / "video0").touch()
    return str(tmp_path / "video0")


def answer(monkeypatch: pytest.MonkeyPatch, colors: int, quantization: int) -> None:
    """Let the device say that it gives 1280×720 MJPG in these colors."""
    fields = (1280, 720, int.from_bytes(b"MJPG", "little"), 1, 0, 0, colors, 0, 0, 0, quantization)
    raw = struct.pack("2I11I", 1, 0, *fields)
    monkeypatch.setattr(v4l2.fcntl, "ioctl", lambda fd, request, given: raw.ljust(208, b"\0"))


@pytest.mark.parametrize(
    ("colors", "quantization", "full_range"),
    [
        (8, 0, False),  # sRGB, open: limited
        (8, 1, True),  # said to be full
        (7, 0, True),  # JPEG's colors, open: full
        (7, 2, False),  # said to be limited
    ],
)
def test_the_range_is_what_the_driver_says_or_what_its_colors_mean(
    path: str, monkeypatch: pytest.MonkeyPatch, colors: int, quantization: int, full_range: bool
) -> None:
    answer(monkeypatch, colors, quantization)
    assert v4l2.format_of(path) == v4l2.Format((720, 1280), "MJPG", full_range)


def test_a_camera_is_busy_when_its_format_may_not_be_set(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, 8, 0)
    assert not v4l2.is_busy(path)
    for number, is_busy in ((errno.EBUSY, True), (errno.ENODEV, None)):

        def refuse(fd: int, request: int, given: bytes, number: int = number) -> bytes:
            if request == v4l2._S_FMT:
                raise OSError(number, "no")
            return given

        monkeypatch.setattr(v4l2.fcntl, "ioctl", refuse)
        if is_busy:
            assert v4l2.is_busy(path)
        else:
            with pytest.raises(OSError, match="no"):
                v4l2.is_busy(path)
