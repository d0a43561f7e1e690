"""Picture files: a folder of numbered PNGs from a clip, and single pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from stream import StreamError
from stream.convert import converted, resized, square_hw
from stream.frame import SRGB, Frame
from stream.reasons import reason

_WITH_ALPHA = {".png", ".webp", ".tif", ".tiff"}
_OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
}
_RGB_ORDER = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}


class PictureFolder:
    """Writes each frame as a PNG, 000001.png first; 16-bit where the clip has more than 8."""

    def __init__(self, folder: Path, *, shown: Path) -> None:
        self.notes: list[str] = []
        self._folder, self._shown = folder, shown
        self._written = 0

    def write(self, frame: Frame) -> None:
        """Write the next picture."""
        if frame.pixel_aspect != 1:
            frame = resized(frame, square_hw(frame))
            if not self.notes:
                self.notes.append("pictures have square pixels: scaled to them")
        self._written += 1
        path = self._folder / f"{self._written:06}.png"
        try:
            path.write_bytes(png_of(frame))
        except OSError as error:
            raise StreamError(f"cannot write {self._shown / path.name}: {reason(error)}") from error

    def close(self) -> None:
        """Nothing is held."""


def write_picture(path: Path, frame: Frame, icc_profile: bytes | None, *, shown: Path) -> None:
    """Write one picture, of the kind that the name's ending says; `shown` is its name in errors.

    Raises StreamError where the kind is unknown or cannot hold what the frame has.
    """
    bgr = bgr_of(frame)
    channels = 1 if bgr.ndim == 2 else bgr.shape[2]
    if channels == 4 and path.suffix.lower() not in _WITH_ALPHA:
        raise StreamError(
            f"cannot keep transparency in {shown}: end the name with "
            f"{', '.join(sorted(_WITH_ALPHA))}"
        )
    rgb = bgr if channels == 1 else cv2.cvtColor(bgr, _RGB_ORDER[channels])
    profile = icc_profile if channels > 1 else None
    try:
        Image.fromarray(rgb).save(
            path, icc_profile=profile, **_OPTIONS.get(path.suffix.lower(), {})
        )
    except ValueError as error:  # an ending that Pillow does not know
        raise StreamError(
            f"cannot write {shown}: end the name with .png, .jpg, .webp or .tif"
        ) from error
    except OSError as error:
        raise StreamError(f"cannot write {shown}: {reason(error)}") from error


def png_of(frame: Frame) -> bytes:
    """A frame as a PNG: RGB or, where it carries alpha, RGBA; gray stays 8-bit gray."""
    _, encoded = cv2.imencode(".png", bgr_of(frame))
    return encoded.tobytes()


def bgr_of(frame: Frame) -> np.ndarray:
    """(H, W), (H, W, 3) or (H, W, 4) in OpenCV's channel order, 8 or 16 bits."""
    layout = frame.layout
    if layout.family == "gray":
        return frame.planes[0]
    format = ("gbrap" if layout.has_alpha else "gbrp") + ("16le" if layout.depth > 8 else "")
    rgb = converted(frame, format, SRGB)
    green, blue, red, *alpha = rgb.planes
    return cv2.merge([blue, green, red, *alpha])
