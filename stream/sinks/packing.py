"""Packing: the planes of a frame as one buffer, in the pixel format that a device is set to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stream.cover import fitted
from stream.frame import Frame, Plane, gray_frame

Buffer = NDArray[np.uint8]


class Packing:
    """Puts frames into one buffer, which is used again for every frame.

    Those of another size or kind than live ones are fitted to the device's.
    """

    def __init__(self, fourcc: str, size_hw: tuple[int, int]) -> None:
        """`fourcc` is a key of PACKINGS; the size is even."""
        self._put, bytes_for_two = PACKINGS[fourcc]
        self._like = gray_frame(size_hw)
        self._buffer = np.zeros(size_hw[0] * size_hw[1] * bytes_for_two // 2, np.uint8)

    def packed(self, frame: Frame) -> Buffer:
        """The frame at the buffer's size, as one row of bytes; valid until the next call."""
        self._put(fitted(frame, self._like), self._buffer)
        return self._buffer


def _put_i420(planes: tuple[Plane, ...], buffer: Buffer) -> None:
    start = 0
    for plane in planes:
        np.copyto(buffer[start : start + plane.size].reshape(plane.shape), plane)
        start += plane.size


def _put_nv12(planes: tuple[Plane, ...], buffer: Buffer) -> None:
    y, u, v = planes
    np.copyto(buffer[: y.size].reshape(y.shape), y)
    pairs = buffer[y.size :].reshape(*u.shape, 2)
    pairs[..., 0], pairs[..., 1] = u, v


def _put_yuyv(planes: tuple[Plane, ...], buffer: Buffer) -> None:
    _put_422(planes, buffer, 0)


def _put_uyvy(planes: tuple[Plane, ...], buffer: Buffer) -> None:
    _put_422(planes, buffer, 1)


def _put_422(planes: tuple[Plane, ...], buffer: Buffer, first_luma: int) -> None:
    """Two pixels in four bytes; each row of chroma serves two rows."""
    y, *chroma = planes
    h, w = y.shape
    quads = buffer.reshape(h // 2, 2, w // 2, 4)
    quads[..., first_luma::2] = y.reshape(h // 2, 2, w // 2, 2)
    for plane, place in zip(chroma, (1 - first_luma, 3 - first_luma), strict=True):
        quads[..., place] = plane[:, None]


# By the name that V4L2 gives the format; bytes for two pixels.
PACKINGS: dict[str, tuple[Callable[[tuple[Plane, ...], Buffer], None], int]] = {
    "YU12": (_put_i420, 3),
    "NV12": (_put_nv12, 3),
    "YUYV": (_put_yuyv, 4),
    "UYVY": (_put_uyvy, 4),
}
