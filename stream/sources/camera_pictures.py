"""What a camera gives, as the planes of a live frame: 4:2:0, 8 bits, BT.601, limited range.

Measured at 1280×720 (p50, one thread): JPEG 4.75 ms to decode and 0.14 to bring from full-range
4:2:2 to this, where swscale takes 0.9 and tables with a resize 0.6 to 1.05; YUYV 0.41, where
swscale takes 0.28 and blocks of three other formats; NV12 0.03 (swscale 0.17).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from stream.av_frames import format_of, planes_in
from stream.frame import Plane, layout_of
from stream.reasons import reason

Planes = tuple[Plane, ...]
Raw = NDArray[np.uint8]


class BrokenPicture(Exception):
    """One picture that cannot be used; the next may be whole."""


class Pictures:
    """Reads the pictures of one camera, in one format; chroma of any size becomes 4:2:0."""

    def __init__(self, fourcc: str, size_hw: tuple[int, int], full_range: bool) -> None:
        self._size_hw = size_hw
        self._full_range = full_range and fourcc not in _RGB  # what is made of RGB is limited
        self._unpack = _UNPACK.get(fourcc)
        if self._unpack is None:  # JPEG
            self._decoder = av.CodecContext.create("mjpeg", "r")
            self._decoder.thread_count = 1  # more would give each picture some frames late
            # Else a picture that was cut off is gray from there on, without a word.
            self._decoder.options = {"err_detect": "explode"}

    def planes(self, raw: Raw) -> Planes:
        """The planes of what OpenCV gave, of even size; they may share its memory.

        Raises BrokenPicture.
        """
        if self._unpack is not None:
            return _live(self._unpack(raw.reshape(-1), self._size_hw), self._full_range)
        picture = self._decoded(raw)
        planes = planes_in(picture)
        if len(planes) == 1:
            planes = (*planes, *[np.full_like(planes[0][::2, ::2], 128)] * 2)
        return _live(planes, picture.color_range != ColorRange.MPEG)  # JPEG's own is full

    def _decoded(self, raw: Raw) -> av.VideoFrame:
        try:
            pictures: list[Any] = self._decoder.decode(av.Packet(raw.tobytes()))
        except av.FFmpegError as error:
            raise BrokenPicture(reason(error)) from error
        if not pictures or (pictures[0].height, pictures[0].width) != self._size_hw:
            raise BrokenPicture("no picture, or one of another size")
        layout = layout_of(format_of(pictures[0]))
        if layout is None or layout.family == "rgb" or layout.depth != 8:
            raise BrokenPicture(f"JPEG of format {pictures[0].format.name}")
        return pictures[0]


def _whole(flat: Raw, size: int) -> Raw:
    if flat.size < size:
        raise BrokenPicture(f"{flat.size} bytes of {size}")
    return flat[:size]


def _packed(y_at: int, u_at: int, v_at: int, flat: Raw, size_hw: tuple[int, int]) -> Planes:
    """4:2:2, its values in turns."""
    h, w = size_hw
    pairs = _whole(flat, h * w * 2).reshape(h, w, 2)
    quads = pairs.reshape(h, w // 2, 4)
    return (
        cv2.extractChannel(pairs, y_at),
        cv2.extractChannel(quads, u_at),
        cv2.extractChannel(quads, v_at),
    )


def _planar(u_at: int, flat: Raw, size_hw: tuple[int, int]) -> Planes:
    """4:2:0, a plane after the other."""
    h, w = size_hw
    chroma_h, chroma_w = -(-h // 2), -(-w // 2)
    whole = _whole(flat, h * w + 2 * chroma_h * chroma_w)
    chroma = whole[h * w :].reshape(2, chroma_h, chroma_w)
    return whole[: h * w].reshape(h, w), chroma[u_at], chroma[1 - u_at]


def _semiplanar(u_at: int, flat: Raw, size_hw: tuple[int, int]) -> Planes:
    """4:2:0, both chroma planes in one."""
    h, w = size_hw
    chroma_h, chroma_w = -(-h // 2), -(-w // 2)
    whole = _whole(flat, h * w + 2 * chroma_h * chroma_w)
    chroma = cv2.split(whole[h * w :].reshape(chroma_h, chroma_w, 2))
    return whole[: h * w].reshape(h, w), chroma[u_at], chroma[1 - u_at]


def _from_rgb(code: int, flat: Raw, size_hw: tuple[int, int]) -> Planes:
    h, w = size_hw
    image = _whole(flat, h * w * 3).reshape(h, w, 3)[: h // 2 * 2, : w // 2 * 2]
    return _planar(0, cv2.cvtColor(image, code).reshape(-1), image.shape[:2])


_RGB = {"RGB3": cv2.COLOR_RGB2YUV_I420, "BGR3": cv2.COLOR_BGR2YUV_I420}
_UNPACK: dict[str, Callable[[Raw, tuple[int, int]], Planes]] = {
    "NV12": partial(_semiplanar, 0),
    "NV21": partial(_semiplanar, 1),
    "YU12": partial(_planar, 0),
    "YV12": partial(_planar, 1),
    "YUYV": partial(_packed, 0, 1, 3),
    "UYVY": partial(_packed, 1, 0, 2),
    "YVYU": partial(_packed, 0, 3, 1),
    "VYUY": partial(_packed, 1, 2, 0),
    **{fourcc: partial(_from_rgb, code) for fourcc, code in _RGB.items()},
}


def _live(planes: Planes, full_range: bool) -> Planes:
    """Planes of any chroma size and range, cut to even sides, as limited 4:2:0."""
    luma, *chroma = planes
    h, w = luma.shape[0] // 2 * 2, luma.shape[1] // 2 * 2
    halved = [_halved(plane, luma.shape, (h // 2, w // 2), full_range) for plane in chroma]
    luma = luma[:h, :w]
    if full_range:
        luma = cv2.convertScaleAbs(luma, alpha=219 / 255, beta=16)
    return luma, *halved


def _halved(
    plane: Plane, luma_hw: tuple[int, ...], half_hw: tuple[int, int], full_range: bool
) -> Plane:
    """A chroma plane at half the picture's even size, in limited range."""
    h, w = half_hw
    gain = 224 / 255 if full_range else 1.0
    offset = 128 * (1 - gain)
    if plane.shape[0] == luma_hw[0] and plane.shape[1] == -(-luma_hw[1] // 2):  # 4:2:2
        top, bottom = plane[: 2 * h : 2, :w], plane[1 : 2 * h : 2, :w]
        return cv2.addWeighted(top, gain / 2, bottom, gain / 2, offset)
    if plane.shape == (-(-luma_hw[0] // 2), -(-luma_hw[1] // 2)):  # 4:2:0
        plane = plane[:h, :w]
    else:
        plane = cv2.resize(plane, (w, h), interpolation=cv2.INTER_AREA)
    return cv2.convertScaleAbs(plane, alpha=gain, beta=offset) if full_range else plane
