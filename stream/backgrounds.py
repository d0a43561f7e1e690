"""What a frame and its matte become: one class for each kind of background."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import ImageColor

from stream import StreamError
from stream.blur import Blur
from stream.color import Rgb, planes_of
from stream.compose import composite
from stream.cover import cover
from stream.frame import SRGB, Alpha, Frame, Plane, gray_planes
from stream.interfaces import Background
from stream.sources.pictures import is_still, load_rgb

_DEFAULT_BLUR_PX = 18.0
_MOST_BLUR_PX = 200.0
_BLUR_STEP = 1.25


def open_background(spec: str, clip_ahead: int = 0) -> Background:
    """The background a user named: see `--background`. Raises StreamError with what to try.

    `clip_ahead`: as `ahead` of VideoLoop.
    """
    word, _, strength = spec.partition(":")
    if word == "blur":
        return Blur(_blur_px(strength) if ":" in spec else _DEFAULT_BLUR_PX)
    by_name: dict[str, type[Plain | Matte | Transparent]] = {
        "transparent": Transparent,
        "matte": Matte,
        "none": Plain,
    }
    if spec in by_name:
        return by_name[spec]()
    if "://" in spec or _is_file(spec):
        return _open_file(spec, clip_ahead)
    try:
        return color(ImageColor.getrgb(spec))
    except ValueError:
        raise StreamError(
            f"cannot use background {spec!r}: no such file, and not a color. Give a picture or "
            "clip that exists, a color such as '#00b140' or 'green', or one of blur, "
            "blur:STRENGTH, transparent, matte, none"
        ) from None


def _is_file(spec: str) -> bool:
    try:
        return Path(spec).is_file()
    except (OSError, ValueError):  # too long for a name, or a character that no name has
        return False


def _blur_px(strength: str) -> float:
    try:
        blur_px = float(strength)
    except ValueError:
        blur_px = 0.0
    if not 0 < blur_px <= _MOST_BLUR_PX:
        raise StreamError(
            f"cannot blur by {strength!r}: give a number above 0, up to {_MOST_BLUR_PX:g} "
            f"(pixels at 720 lines; {_DEFAULT_BLUR_PX:g} is the default)"
        )
    return blur_px


def stepped_blur(spec: str, by: int) -> str:
    """The blur so many steps stronger than one; the default for what is no blur."""
    word, _, strength = spec.partition(":")
    if word != "blur":
        return "blur"
    blur_px = _blur_px(strength) if strength else _DEFAULT_BLUR_PX
    return f"blur:{min(max(blur_px * _BLUR_STEP**by, 1.0), _MOST_BLUR_PX):.3g}"


def _open_file(spec: str, clip_ahead: int) -> Background:
    """A picture if it is one that does not move, else a clip."""
    from stream.video_loop import VideoLoop  # FFmpeg is loaded only for a clip

    return picture(Path(spec)) if is_still(spec) else VideoLoop(spec, clip_ahead)


class Plain:
    """The frame as it came: to look at everything but the matting."""

    blends = False

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """The frame itself."""
        return frame

    def alone(self, frame: Frame) -> Frame:
        """The frame itself: nothing is to be hidden."""
        return frame

    def close(self) -> None:
        """Nothing is held."""


class Matte:
    """The alpha itself, gray, 0-255."""

    blends = False

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """An 8-bit gray frame."""
        gray = cv2.convertScaleAbs(alpha, alpha=255)
        return frame.with_planes((gray,), "gray", SRGB)

    def alone(self, frame: Frame) -> Frame:
        """Nobody: black."""
        return self.compose(frame, np.zeros(frame.size_hw, np.float32))

    def close(self) -> None:
        """Nothing is held."""


class Transparent:
    """The frame with the alpha as one more plane; color and alpha are not multiplied."""

    blends = True

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """The frame in the same format with alpha: yuva420p for yuv420p."""
        top = (1 << frame.layout.depth) - 1
        plane = np.rint(alpha * np.float32(top)).astype(frame.layout.dtype)
        format = frame.format.replace("yuv", "yuva").replace("gbr", "gbra")
        return frame.with_planes((*frame.planes, plane), format)

    def alone(self, frame: Frame) -> Frame:
        """Nothing: gray that is nowhere opaque."""
        return self.compose(
            frame.with_planes(gray_planes(frame)), np.zeros(frame.size_hw, np.float32)
        )

    def close(self) -> None:
        """Nothing is held."""


class Still:
    """A background that does not move: painted once, in the frames' own format."""

    blends = True

    def __init__(self, paint: Callable[[Frame], Rgb]) -> None:
        self._paint = paint  # R'G'B' 0-1 of the frame's size
        self._planes: tuple[Plane, ...] = ()
        self._made_for: tuple[object, ...] | None = None

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """The person over the still picture."""
        return composite(frame, self._painted_for(frame), alpha)

    def alone(self, frame: Frame) -> Frame:
        """The still picture."""
        return frame.with_planes(self._painted_for(frame))

    def close(self) -> None:
        """Nothing is held."""

    def _painted_for(self, frame: Frame) -> tuple[Plane, ...]:
        made_for = (frame.size_hw, frame.format, frame.color, frame.pixel_aspect)
        if self._made_for != made_for:
            self._planes, self._made_for = planes_of(self._paint(frame), frame), made_for
        return self._planes


def color(rgb: tuple[int, ...]) -> Still:
    """One color everywhere, given as sRGB 0-255; raises ValueError where it is none."""
    if not all(0 <= value <= 255 for value in rgb):
        raise ValueError(f"{rgb} is no color")
    value = np.array(rgb[:3], np.float32) / np.float32(255)
    return Still(lambda frame: np.tile(value, (*frame.size_hw, 1)))


def picture(path: Path) -> Still:
    """A picture that covers the frame: aspect kept, centered, the rest cropped."""
    image, _ = load_rgb(path)
    return Still(lambda frame: cover(image, frame).astype(np.float32) / np.float32(255))
