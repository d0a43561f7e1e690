"""What a frame and its matte become: one class for each kind of background."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from stream import StreamError
from stream.color import Rgb, planes_of
from stream.compose import alpha_at, composite
from stream.frame import SRGB, Alpha, Frame, Plane
from stream.interfaces import Background

_DEFAULT_BLUR_PX = 18.0
_MOST_BLUR_PX = 200.0
_WORK_SIGMA = 4.0  # the blur runs on planes shrunk so far that its sigma is about this


def open_background(spec: str) -> Background:
    """The background a user named: see `--background`. Raises StreamError with what to try."""
    word, _, strength = spec.partition(":")
    if word == "blur":
        return Blur(_blur_px(strength) if ":" in spec else _DEFAULT_BLUR_PX)
    plain: dict[str, type[Plain | Matte | Transparent]] = {
        "transparent": Transparent,
        "matte": Matte,
        "none": Plain,
    }
    if spec in plain:
        return plain[spec]()
    if Path(spec).is_file() or "://" in spec:
        return _open_file(spec)
    try:
        red, green, blue = ImageColor.getrgb(spec)[:3]
    except ValueError:
        raise StreamError(
            f"cannot use background {spec!r}: no such file, and not a color. Give a picture or "
            "clip that exists, a color such as '#00b140' or 'green', or one of blur, "
            "blur:STRENGTH, transparent, matte, none"
        ) from None
    return color((red, green, blue))


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


def _open_file(spec: str) -> Background:
    """A picture if Pillow reads it as a single one, else a clip."""
    from stream.video_loop import VideoLoop  # FFmpeg is loaded only for a clip

    try:
        with Image.open(spec) as opened:
            is_still = getattr(opened, "n_frames", 1) == 1
    except (UnidentifiedImageError, OSError):
        is_still = False
    return picture(Path(spec)) if is_still else VideoLoop(spec)


class Plain:
    """The frame as it came: to look at everything but the matting."""

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """The frame itself."""
        return frame

    def close(self) -> None:
        """Nothing is held."""


class Matte:
    """The alpha itself, gray, 0-255."""

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """An 8-bit gray frame."""
        gray = cv2.convertScaleAbs(alpha, alpha=255)
        return frame.with_planes((gray,), "gray", SRGB)

    def close(self) -> None:
        """Nothing is held."""


class Transparent:
    """The frame with the alpha as one more plane; color and alpha are not multiplied."""

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """The frame in the same format with alpha: yuva420p for yuv420p."""
        top = (1 << frame.layout.depth) - 1
        plane = np.rint(alpha * np.float32(top)).astype(frame.layout.dtype)
        format = frame.format.replace("yuv", "yuva").replace("gbr", "gbra")
        return frame.with_planes((*frame.planes, plane), format)

    def close(self) -> None:
        """Nothing is held."""


class Still:
    """A background that does not move: painted once, in the frames' own format."""

    def __init__(self, paint: Callable[[Frame], Rgb]) -> None:
        self._paint = paint  # R'G'B' 0-1 of the frame's size
        self._planes: tuple[Plane, ...] = ()
        self._made_for: tuple[object, ...] | None = None

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """The person over the still picture."""
        made_for = (frame.size_hw, frame.format, frame.color, frame.pixel_aspect)
        if self._made_for != made_for:
            self._planes, self._made_for = planes_of(self._paint(frame), frame), made_for
        return composite(frame, self._planes, alpha)

    def close(self) -> None:
        """Nothing is held."""


def color(rgb: tuple[int, int, int]) -> Still:
    """One color everywhere, given as sRGB 0-255."""
    value = np.array(rgb, np.float32) / np.float32(255)
    return Still(lambda frame: np.tile(value, (*frame.size_hw, 1)))


def picture(path: Path) -> Still:
    """A picture that covers the frame: aspect kept, centered, the rest cropped."""
    try:
        with Image.open(path) as opened:
            image = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise StreamError(
            f"cannot read background {path} ({error}): give a whole PNG, JPEG or WebP picture"
        ) from error
    return Still(lambda frame: cover(image, frame).astype(np.float32) / np.float32(255))


def cover_hw(image_hw: tuple[int, int], frame: Frame) -> tuple[int, int]:
    """The size that keeps a picture's aspect as shown and covers the frame with the least."""
    (h, w), (height, width) = image_hw, frame.size_hw
    shown_w = w / float(frame.pixel_aspect)  # the frame's pixels may not be square
    scale = max(height / h, width / shown_w)
    return max(height, round(h * scale)), max(width, round(shown_w * scale))


def cover(image: np.ndarray, frame: Frame) -> np.ndarray:
    """(h, w, …) scaled to cover the frame and cropped about its center to the frame's size."""
    height, width = frame.size_hw
    h, w = cover_hw(image.shape[:2], frame)
    shrinks = h <= image.shape[0]
    scaled = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    top, left = (h - height) // 2, (w - width) // 2
    return scaled[top : top + height, left : left + width]


class Blur:
    """The room itself, blurred as if the person were not there.

    Blurring the frame would smear the person's colors into a halo around them. Here every blurred
    value is the mean of room pixels alone: blur(plane · w) / blur(w), with w = 0 on and next to
    the person (normalized convolution, Knutsson and Westin 1993).
    """

    def __init__(self, blur_px: float) -> None:
        self._blur_px = blur_px  # the Gaussian's sigma at 720 lines

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """The person over the blurred room."""
        sigma_px = max(self._blur_px * min(frame.size_hw) / 720, 0.5)
        behind: list[Plane] = []
        for plane in frame.planes:
            scale = plane.shape[0] / frame.size_hw[0]
            behind.append(self._without_person(plane, alpha, sigma_px * scale))
        return composite(frame, tuple(behind), alpha)

    def _without_person(self, plane: Plane, alpha: Alpha, sigma_px: float) -> Plane:
        h, w = plane.shape
        factor = max(1.0, sigma_px / _WORK_SIGMA)
        small_wh = (max(1, round(w / factor)), max(1, round(h / factor)))
        small = cv2.resize(plane, small_wh, interpolation=cv2.INTER_AREA).astype(np.float32)
        room = 1 - cv2.dilate(alpha_at(alpha, small.shape), np.ones((3, 3), np.uint8))
        # Deep inside the person no room is near: there the plain blur fills in, barely weighted.
        room = np.maximum(room * room, 1e-4, dtype=np.float32)
        sigma = sigma_px / factor
        total = cv2.GaussianBlur(small * room, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        weight = cv2.GaussianBlur(room, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        blurred = np.rint(total / weight).astype(plane.dtype)
        return cv2.resize(blurred, (w, h), interpolation=cv2.INTER_LINEAR)

    def close(self) -> None:
        """Nothing is held."""
