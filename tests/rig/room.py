"""What the webcam sees, as numbers: a room of one color, so that its pixels can be counted wherever
they turn up, and a bar that tells where it is."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from stream.compose import alpha_at
from stream.frame import Alpha, Plane

ROOM_RGB = (90, 80, 180)
ROOM_UV = (170, 125)  # the same in BT.601, limited range
GREEN_YUV = (111, 105, 58)  # the background of the scenarios
TOLERANCE = 3  # of 255: what rounding may do to a background
NEAR = 24  # how near to ROOM_UV a pixel must be to be one of the room's

BAR_PX, BAR_STEP_PX, BAR_PLACES = 64, 16, 36  # the moving bar: its width, and where it can be
CODE_PX = 16  # the squares in it, light or dark, each a binary digit of its place

Planes = tuple[Plane, ...]


def outside_matte(shown: Planes, expected: Planes, alpha: Alpha) -> int:
    """How many values outside the matte of their own frame are not the background's."""
    return sum(
        int(((alpha_at(alpha, plane.shape) == 0) & (distance(plane, own) > TOLERANCE)).sum())
        for plane, own in zip(shown, expected, strict=True)
    )


def like_the_room(shown: Planes) -> int:
    """How many values have the room's color, in a picture in which nothing may have it."""
    near = [distance(plane, own) < NEAR for plane, own in zip(shown[1:], ROOM_UV, strict=True)]
    return int((near[0] & near[1]).sum())


def distance(plane: Plane, other: Plane | int) -> NDArray[np.int16]:
    """How far the values of two planes lie apart."""
    return np.abs(plane.astype(np.int16) - np.asarray(other, np.int16))


def checksum(planes: Planes) -> int:
    """Of all planes, one after the other."""
    crc = 0
    for plane in planes:
        crc = zlib.crc32(np.ascontiguousarray(plane), crc)
    return crc
