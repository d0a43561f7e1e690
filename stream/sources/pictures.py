"""Pictures: still pictures as frames, one by one or as a clip."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from stream import StreamError
from stream.convert import resized
from stream.frame import SRGB, Frame

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
# Beyond twice this Pillow refuses, taking the file for an attack on memory.
Image.MAX_IMAGE_PIXELS = 250_000_000


@dataclass(frozen=True, slots=True)
class Picture:
    """A still picture as a frame, and the color profile that its values are meant in."""

    frame: Frame
    icc_profile: bytes | None


def read_picture(path: Path, pts: int = 0, time_base: Fraction = Fraction(1)) -> Picture:
    """A picture, upright, as planar RGB. Raises StreamError where it is no whole picture."""
    rgb, profile = load_rgb(path)
    red, green, blue = cv2.split(rgb)
    now_ns = time.monotonic_ns()
    frame = Frame((green, blue, red), "gbrp", SRGB, pts, time_base, now_ns, duration=1)
    return Picture(frame, profile)


def load_rgb(path: Path) -> tuple[NDArray[np.uint8], bytes | None]:
    """(H, W, 3) RGB of a picture, upright, its alpha dropped; and its color profile, if any.

    Raises StreamError naming the file where it is no whole picture.
    """
    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            profile = opened.info.get("icc_profile") if opened.mode in ("RGB", "RGBA") else None
            if opened.mode.startswith("I;16"):  # Pillow would clip 16 bits at 255
                gray = (np.asarray(upright).astype(np.float32) / 257 + 0.5).astype(np.uint8)
                return cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), None
            return np.asarray(upright.convert("RGB")), profile
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise StreamError(
            f"cannot read picture {path} ({_cause(error)}): give a whole PNG, JPEG or WebP file"
        ) from error


def is_still(path: str) -> bool:
    """True for a picture, also one of many pages; False for what moves, or is no picture."""
    try:
        with Image.open(path) as opened:
            return opened.format not in ("GIF", "PNG") or getattr(opened, "n_frames", 1) == 1
    except Image.DecompressionBombError:
        return True
    except OSError:  # also what Pillow raises where it knows no picture
        return False


def _cause(error: Exception) -> str:
    words = getattr(error, "strerror", None) or str(error)
    return words.split(" '")[0].splitlines()[0]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order: 2 comes before 10. Raises StreamError if none."""
    found = [
        path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()
    ]
    if not found:
        raise StreamError(
            f"cannot find a picture in {folder}: put {', '.join(sorted(SUFFIXES))} files there"
        )
    return sorted(found, key=natural)


def natural(path: Path) -> list[tuple[bool, int, str]]:
    """A key to sort names by as people count: 2 comes before 10."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


class Pictures:
    """A folder of pictures played as a clip; those of another size are scaled to the first's."""

    is_live = False
    carried = None

    def __init__(self, folder: Path, rate: Fraction) -> None:
        self.losses: list[str] = []
        self.notes: list[str] = []
        self.rate = rate
        self._paths = pictures_in(folder)
        self.first = self._first_readable()

    @property
    def frames_expected(self) -> int:
        """How many frames there should be."""
        return len(self._paths)

    def __iter__(self) -> Iterator[Frame]:
        """The frames, once; a broken picture is left out and said."""
        for number in range(len(self._paths)):
            try:
                frame = self._read(number)
            except StreamError as error:
                self.losses.append(str(error))
                continue
            if frame.size_hw != self.first.size_hw:
                frame = resized(frame, self.first.size_hw)
                if not self.notes:
                    self.notes.append("the pictures' size changes: scaled to the first")
            yield frame

    def _first_readable(self) -> Frame:
        for number in range(len(self._paths)):
            with suppress(StreamError):
                return self._read(number)
        return self._read(0)  # which raises again, with the reason

    def _read(self, number: int) -> Frame:
        return read_picture(self._paths[number], number, 1 / self.rate).frame

    def close(self) -> None:
        """Nothing is held."""
