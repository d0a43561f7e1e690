"""What a user may write after --background, and what is said where it cannot be."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from stream import StreamError
from stream.backgrounds import open_background


def png_header(h: int, w: int) -> bytes:
    """A PNG that promises this size and ends there."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "spec",
    [
        *("", " ", "nothing-of-that-name.png", "#12", "#ggg", "grren", "rgb(300,0,0)", "hsl(120)"),
        *("BLUR", "blurred", "transparent:1", ".", "/", "x\0y"),
        pytest.param("a" * 300, id="longer than a file's name may be"),
    ],
)
def test_what_is_no_background_is_named_with_what_is(spec) -> None:
    with pytest.raises(StreamError) as error:
        open_background(spec)
    message = str(error.value)
    assert repr(spec) in message or spec in message
    assert "#00b140" in message and "blur:STRENGTH" in message and "transparent" in message


@pytest.mark.parametrize("strength", ["", "0", "-3", "201", "1e9", "nan", "inf", "much", "5px"])
def test_a_strength_that_cannot_be_is_named_with_its_range(strength) -> None:
    with pytest.raises(StreamError, match="above 0, up to 200") as error:
        open_background(f"blur:{strength}")
    assert repr(strength) in str(error.value)


@pytest.mark.parametrize(
    "contents",
    [b"", b"plain words\n", png_header(48, 64), png_header(30_000, 30_000), b"\xff\xd8\xff\xe0"],
    ids=["empty", "text", "no pixels", "900 megapixels", "four bytes of JPEG"],
)
def test_a_broken_picture_is_named(tmp_path, contents) -> None:
    path = tmp_path / "behind.png"
    path.write_bytes(contents)
    with pytest.raises(StreamError, match=r"behind\.png") as error:
        open_background(str(path))
    assert "\n" not in str(error.value)


def test_a_picture_cut_short_is_named(tmp_path) -> None:
    path = tmp_path / "behind.jpg"
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(StreamError, match=r"behind\.jpg"):
        open_background(str(path))
