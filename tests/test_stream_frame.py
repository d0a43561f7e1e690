"""Frames: what a format's name says about its planes, held against FFmpeg's own account of it."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.format import names

from stream.frame import layout_of

HOUSE = sorted(name for name in names if layout_of(name) is not None)
SIZES_HW = [(48, 64), (47, 63), (1, 1), (2, 3), (5, 2)]


def test_the_house_keeps_the_formats_that_cameras_clips_and_pictures_use() -> None:
    depths = ["", "9le", "10le", "12le", "14le", "16le"]
    wanted = {f"yuv{chroma}p{depth}" for chroma in (420, 422, 444) for depth in depths}
    wanted |= {f"gbrp{depth}" for depth in depths} | {f"gray{depth}" for depth in depths}
    wanted |= {"yuv410p", "yuv411p", "yuv440p", "yuva420p", "yuva444p12le", "gbrap", "gbrap16le"}
    assert wanted <= set(HOUSE)


@pytest.mark.parametrize("name", HOUSE)
def test_plane_sizes_are_ffmpegs(name: str) -> None:
    layout = layout_of(name)
    assert layout is not None
    for h, w in SIZES_HW:
        planes = av.VideoFrame(w, h, name).planes
        assert layout.plane_hws((h, w)) == [(plane.height, plane.width) for plane in planes]


@pytest.mark.parametrize("name", HOUSE)
def test_depth_alpha_and_family_are_ffmpegs(name: str) -> None:
    layout, format = layout_of(name), av.VideoFormat(name)
    assert layout is not None
    assert {component.bits for component in format.components} == {layout.depth}
    assert layout.has_alpha == (len(format.components) in (2, 4))
    assert (layout.family == "rgb") == format.is_rgb
    assert (layout.family == "gray") == (len(format.components) == 1)
    assert np.dtype(layout.dtype).itemsize == (1 if layout.depth == 8 else 2)
    assert not format.is_big_endian or layout.depth == 8


@pytest.mark.parametrize("name", ["yuv420p10be", "yuvj420p", "nv12", "rgb24", "yuv444p10msble"])
def test_look_alikes_are_refused(name: str) -> None:
    assert layout_of(name) is None


def test_planar_formats_that_are_refused_are_refused_for_a_reason() -> None:
    reasons = ("be", "f32le", "f16le", "msble", "gray32le", "gbrap32le")
    for name in set(names) - set(HOUSE):
        format = av.VideoFormat(name)
        looks_planar = name.startswith(("yuv4", "yuva4", "gbr", "gray"))
        if looks_planar and format.is_planar:
            assert name.endswith(reasons), name


def test_a_frame_knows_its_size_and_time(make_frame) -> None:
    frame = make_frame("yuv422p10le", (47, 63), pts=45)
    assert frame.size_hw == (47, 63)
    assert frame.layout == layout_of("yuv422p10le")
    gray = frame.with_planes((frame.planes[0],), "gray10le")
    assert (gray.pts, gray.time_base, gray.color) == (45, frame.time_base, frame.color)
