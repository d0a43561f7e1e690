"""FFmpeg's pictures to frames and back."""

from __future__ import annotations

import time
from fractions import Fraction

import av
import numpy as np

from stream.color import assumed_tags
from stream.frame import ColorTags, Frame, Matrix, Plane, Primaries, Transfer, layout_of

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_LIMITED_RANGE = 1  # AVCOL_RANGE_MPEG
# swscale numbers BT.601 otherwise than H.273 does.
_SWS_MATRIX: dict[int, int] = {Matrix.BT470BG: 5, Matrix.SMPTE170M: 5}


def format_of(picture: av.VideoFrame) -> str:
    """The name of a picture's format; yuvj is yuv, its range is told by the tags."""
    return picture.format.name.replace("yuvj", "yuv")


def house_format(format: av.VideoFormat) -> str:
    """The planar format without alpha that keeps all of `format`: itself, where it is one."""
    layout = layout_of(format.name.replace("yuvj", "yuv"))
    if layout and layout.family != "gray" and not layout.has_alpha:
        return format.name.replace("yuvj", "yuv")
    depth = max(component.bits for component in format.components)
    depth = next(known for known in (8, 9, 10, 12, 14, 16) if known >= min(depth, 16))
    suffix = f"{depth}le" if depth > 8 else ""
    if format.is_rgb or format.name in ("pal8", "monob", "monow"):
        return f"gbrp{suffix}"
    return f"yuv{_subsampling(format)}p{suffix}"


def _subsampling(format: av.VideoFormat) -> str:
    if len(format.components) < 3:  # gray: the background may have color
        return "420"
    shift = (64 // format.chroma_height(64), 64 // format.chroma_width(64))
    return {(1, 1): "444", (1, 2): "422", (2, 1): "440", (1, 4): "411"}.get(shift, "420")


def tags_of(picture: av.VideoFrame) -> ColorTags:
    """The picture's color tags; what it leaves open is filled in as a player would."""
    full = picture.color_range == _FULL_RANGE or picture.format.name.startswith("yuvj")
    tags = ColorTags(picture.colorspace, full, picture.color_primaries, picture.color_trc)
    family = "rgb" if house_format(picture.format).startswith("gbr") else "yuv"
    return assumed_tags(tags, (picture.height, picture.width), family)


def reformatted(
    picture: av.VideoFrame, format: str, size_hw: tuple[int, int], color: ColorTags
) -> av.VideoFrame:
    """The picture in another format or size, its values converted to mean the same in `color`."""
    source = tags_of(picture)
    tag(picture, source)
    converted = picture.reformat(
        width=size_hw[1],
        height=size_hw[0],
        format=format,
        dst_colorspace=_sws_matrix(color),
        dst_color_range=_FULL_RANGE if color.full_range else _LIMITED_RANGE,
        interpolation="BICUBIC",
    )
    converted.pts, converted.time_base = picture.pts, picture.time_base
    converted.duration = picture.duration
    return converted


def _sws_matrix(color: ColorTags) -> int:
    return _SWS_MATRIX.get(color.matrix, color.matrix)


def planes_in(picture: av.VideoFrame) -> tuple[Plane, ...]:
    """Views of a planar picture's planes; they keep its memory alive."""
    layout = layout_of(format_of(picture))
    assert layout is not None, f"a picture of format {picture.format.name} was let in"
    sizes = layout.plane_hws((picture.height, picture.width))
    planes: list[Plane] = []
    for plane, (h, w) in zip(picture.planes, sizes, strict=True):
        stride = abs(plane.line_size) // np.dtype(layout.dtype).itemsize
        values: Plane = np.frombuffer(memoryview(plane), layout.dtype)
        rows = values[: h * stride].reshape(h, stride)[:, :w]
        planes.append(rows[::-1] if plane.line_size < 0 else rows)  # negative: bottom row first
    return tuple(planes)


def frame_of(picture: av.VideoFrame, color: ColorTags, pixel_aspect: Fraction) -> Frame:
    """A frame that shares a picture's memory; the picture is of a house format and has a time."""
    assert picture.pts is not None and picture.time_base is not None
    return Frame(
        planes_in(picture),
        format_of(picture),
        color,
        picture.pts,
        picture.time_base,
        time.monotonic_ns(),
        pixel_aspect,
        picture.duration or 0,
    )


def picture_of(frame: Frame) -> av.VideoFrame:
    """A copy of a frame as FFmpeg's picture, tags and time included."""
    h, w = frame.size_hw
    picture = av.VideoFrame(w, h, frame.format)
    for plane, view in zip(frame.planes, planes_in(picture), strict=True):
        np.copyto(view, plane)
    tag(picture, frame.color)
    picture.pts, picture.time_base = frame.pts, frame.time_base
    return picture


def tag(target: av.VideoFrame | av.VideoCodecContext, color: ColorTags) -> None:
    """Write the tags on a picture, or where an encoder and its container look for them."""
    target.colorspace = color.matrix
    target.color_range = _FULL_RANGE if color.full_range else _LIMITED_RANGE
    target.color_primaries = color.primaries
    target.color_trc = color.transfer


def video_tags(color: ColorTags, size_hw: tuple[int, int]) -> ColorTags:
    """What RGB or gray becomes in a YUV clip: limited range, the usual matrix of that size."""
    if color.matrix != Matrix.RGB:
        return color
    transfer = Transfer.UNSPECIFIED if color.transfer == Transfer.SRGB else color.transfer
    tags = ColorTags(Matrix.UNSPECIFIED, False, Primaries.UNSPECIFIED, transfer)
    return assumed_tags(tags, size_hw, "yuv")


def nearest_format(format: str, offered: list[str]) -> str:
    """The format of an encoder's list that loses the least of `format`.

    Losing alpha, depth or chroma counts in that order; among equals the smallest wins. RGB goes
    to 4:2:0 where that is offered, because hardly a player shows 4:4:4 video.
    """
    wanted = layout_of(format)
    assert wanted is not None
    known = {name: layout for name in offered if (layout := layout_of(name)) is not None}

    def loss(name: str) -> tuple[bool, bool, int, int, int]:
        layout = known[name]
        chroma = (1, 1) if wanted.family != "yuv" else wanted.chroma_shift
        coarser = sum(max(0, a - b) for a, b in zip(layout.chroma_shift, chroma, strict=True))
        finer = sum(max(0, b - a) for a, b in zip(layout.chroma_shift, chroma, strict=True))
        return (
            wanted.has_alpha and not layout.has_alpha,
            layout.family != "yuv",
            max(0, wanted.depth - layout.depth),
            coarser,
            finer + layout.depth + layout.has_alpha,
        )

    return min(known, key=loss)
