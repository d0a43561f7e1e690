"""Orientation: how a decoded picture must be turned to stand upright."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import cv2
from av.buffer import Buffer

from stream.frame import Frame, Plane


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways to lay down a rectangle: transpose first, then mirror."""

    transposed: bool = False
    flip_rows: bool = False  # top and bottom change places
    flip_columns: bool = False  # left and right change places

    @classmethod
    def of(cls, picture: av.VideoFrame) -> Orientation:
        """What the picture's display matrix (a phone's rotation tag) asks for.

        FFmpeg's matrix maps a stored (x, y) to a shown (a·x + c·y, b·x + d·y); only its signs
        matter here, as a turn by anything but quarters would need a larger frame.
        """
        try:
            matrix = picture.side_data.get("DISPLAYMATRIX")
        except ValueError:  # PyAV gives up on all of it where one kind is too new for it
            return cls._of_rotation(picture.rotation)
        if matrix is None:
            return cls()
        a, b, _, c, d = struct.unpack_from("=5i", memoryview(cast(Buffer, matrix)))
        if abs(a) >= abs(b):
            return cls(False, flip_rows=d < 0, flip_columns=a < 0)
        return cls(True, flip_rows=b < 0, flip_columns=c < 0)

    @classmethod
    def _of_rotation(cls, degrees: int) -> Orientation:
        """Quarter turns counterclockwise."""
        turns = {
            90: cls(True, flip_rows=True),
            180: cls(False, True, True),
            270: cls(True, False, True),
        }
        return turns.get(degrees % 360, cls())

    def turnable(self, format: str) -> str:
        """The format to turn in: half-width chroma (4:2:2) turned would be half-height (4:4:0),
        which hardly an encoder takes, so it is brought to 4:4:4 first."""
        if self.transposed:
            return re.sub("yuv(422|440|411)", "yuv444", format)
        return format

    def turn(self, frame: Frame) -> Frame:
        """The frame, upright."""
        if self == Orientation():
            return frame
        return frame.with_planes(tuple(self._turn(plane) for plane in frame.planes))

    def _turn(self, plane: Plane) -> Plane:
        if self.transposed:
            plane = cv2.transpose(plane)
        if self.flip_rows and self.flip_columns:
            return cv2.flip(plane, -1)
        if self.flip_rows:
            return cv2.flip(plane, 0)
        return cv2.flip(plane, 1) if self.flip_columns else plane

    def turn_aspect(self, pixel_aspect: Fraction) -> Fraction:
        """The pixel aspect after the turn."""
        return 1 / pixel_aspect if self.transposed else pixel_aspect
