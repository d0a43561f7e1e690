"""What a frame and its matte become: one class for each kind of background."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from stream import StreamError
from stream.color import Rgb, planes_of
from stream.compose import composite, sized
from stream.frame import SRGB, Alpha, Frame, Plane
from stream.interfaces import Background
from stream.sources.pictures import is_still, load_rgb

_DEFAULT_BLUR_PX = 18.0
_MOST_BLUR_PX = 200.0
_BLUR_STEP = 1.25
_HIDING = 4  # how much stronger the room is blurred where nothing better can be shown
_WORK_SIGMA = 4.0  # the blur runs on planes shrunk so far that its sigma is once to twice this
_LEAST = 1e-6  # weight of the room's mean everywhere


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


def gray_planes(frame: Frame) -> tuple[Plane, ...]:
    """Neutral gray in the frame's format: half of every range."""
    half = 1 << (frame.layout.depth - 1)
    return tuple(np.full(plane.shape, half, plane.dtype) for plane in frame.planes)


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


def cover_hw(image_hw: tuple[int, int], frame: Frame) -> tuple[int, int]:
    """The size that keeps a picture's aspect as shown and covers the frame with the least."""
    (h, w), (height, width) = image_hw, frame.size_hw
    shown_w = w / float(frame.pixel_aspect)  # the frame's pixels may not be square
    scale = max(height / h, width / shown_w)
    return max(height, round(h * scale)), max(width, round(shown_w * scale))


def cover(image: NDArray[Any], frame: Frame) -> NDArray[Any]:
    """The middle of (h, w, 3) that has the frame's shape, scaled to the frame's size."""
    covering = cover_hw((image.shape[0], image.shape[1]), frame)
    # Cut first, a little wider than needed: a long strip would grow to many times the frame.
    cut = [_middle(*sides) for sides in zip(image.shape, covering, frame.size_hw, strict=False)]
    rows, columns = (part for part, _ in cut)
    h, w = (scaled for _, scaled in cut)
    shrinks = h <= rows.stop - rows.start
    scaled = cv2.resize(
        image[rows, columns], (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    height, width = frame.size_hw
    top, left = (h - height) // 2, (w - width) // 2
    return scaled[top : top + height, left : left + width]


def _middle(side: int, covering: int, wanted: int) -> tuple[slice, int]:
    """The middle of `side` pixels that shows `wanted` of the `covering` ones that it becomes, with
    a pixel to spare at both ends; and how many pixels that middle becomes."""
    part = min(side, -(-wanted * side // covering) + 2)
    part += (side - part) % 2  # so that the center stays where it is
    start = (side - part) // 2
    return slice(start, start + part), max(wanted, round(part * covering / side))


class Blur:
    """The room itself, blurred as if the person were not there.

    Blurring the frame would smear the person's colors into a halo around them. Here every blurred
    value is the mean of room pixels alone: blur(plane · w) / blur(w), with w = 0 on and next to
    the person (normalized convolution, Knutsson and Westin 1993).
    """

    blends = True

    def __init__(self, blur_px: float) -> None:
        self._blur_px = blur_px  # the Gaussian's sigma at 720 lines
        self._last: tuple[Frame, Alpha] | None = None
        self._hidden: tuple[Plane, ...] = ()  # the room of the last frame, while it is wanted

    def compose(self, frame: Frame, alpha: Alpha) -> Frame:
        """The person over the blurred room."""
        self._last, self._hidden = (frame, alpha), ()
        return composite(frame, _rooms(frame, alpha, self._blur_px), alpha)

    def alone(self, frame: Frame) -> Frame:
        """The room as it was last seen, beyond recognition; gray before it was seen."""
        if self._last is None or self._last[0].size_hw != frame.size_hw:
            return frame.with_planes(gray_planes(frame))
        if not self._hidden:
            self._hidden = _rooms(*self._last, _HIDING * self._blur_px)
        return frame.with_planes(self._hidden)

    def close(self) -> None:
        """Nothing is held."""


def _rooms(frame: Frame, alpha: Alpha, blur_px: float) -> tuple[Plane, ...]:
    """The room behind the person, blurred, plane by plane; `blur_px` is at 720 lines."""
    sigma_px = blur_px * min(frame.size_hw) / 720
    rooms: dict[tuple[int, ...], _Room] = {}  # planes of all sizes are shrunk to one or two
    behind: list[Plane] = []
    for plane in frame.planes:
        parts = (side / whole for side, whole in zip(plane.shape, alpha.shape, strict=True))
        sigmas_px = [sigma_px * part for part in parts]
        small_hw = tuple(
            -(-side // _shrink(sigma)) for side, sigma in zip(plane.shape, sigmas_px, strict=True)
        )
        if small_hw not in rooms:
            shares = (small / whole for small, whole in zip(small_hw, plane.shape, strict=True))
            sigma_y, sigma_x = (s * part for s, part in zip(sigmas_px, shares, strict=True))
            rooms[small_hw] = _Room(sized(alpha, small_hw), sigma_y, sigma_x)
        behind.append(rooms[small_hw].behind(plane))
    return tuple(behind)


def _shrink(sigma_px: float) -> int:
    """The power of two (halving is quick) by which a plane shrinks before it is blurred."""
    return 1 << max(0, int(math.log2(max(sigma_px / _WORK_SIGMA, 1))))


class _Room:
    """Blurs what is not person, at the size (h, w) of `alpha`; sigmas are in its pixels."""

    def __init__(self, alpha: Alpha, sigma_y: float, sigma_x: float) -> None:
        person = cv2.dilate(alpha, np.ones((3, 3), np.uint8))
        # A pixel with a trace of person spoils the mean more than it helps, and where the frame's
        # edges were cleaned it is none of the room's: it counts where nothing else is near.
        self._weight = np.maximum(np.float32(person == 0), 1e-4 * (1 - person))
        self._sigmas = max(sigma_y, 0.3), max(sigma_x, 0.3)
        self._norm = self._blurred(self._weight) + np.float32(_LEAST)

    def behind(self, plane: Plane) -> Plane:
        """The plane's own room, at the plane's size."""
        small = sized(plane, self._weight.shape).astype(np.float32)
        weighted = small * self._weight
        # Deep inside the person, where nothing of the room is near, its mean fills in.
        total = self._weight.sum()
        anywhere = weighted.sum() / total if total else small.mean()
        room = (self._blurred(weighted) + np.float32(_LEAST * anywhere)) / self._norm
        return sized(np.rint(room).astype(plane.dtype), plane.shape)

    def _blurred(self, values: Alpha) -> Alpha:
        y, x = self._sigmas
        kernel_wh = _kernel_side(x), _kernel_side(y)
        return cv2.GaussianBlur(values, kernel_wh, x, sigmaY=y, borderType=cv2.BORDER_REPLICATE)


def _kernel_side(sigma_px: float) -> int:
    """Three sigmas to each side, where less than 0.3 % of a Gaussian is left."""
    return 2 * math.ceil(3 * sigma_px) + 1
