"""The compositing equation: exact at both ends, true in between, in every format."""

from __future__ import annotations

import numpy as np
import pytest

from stream.compose import alpha_at, composite

CHROMA = ["yuv420p", "yuv422p", "yuv444p", "gbrp"]
FORMATS = [f"{name}{depth}" for name in CHROMA for depth in ("", "10le", "12le", "16le")]
FORMATS += ["yuv440p", "yuv411p", "gray", "gbrp9le", "yuv420p14le"]
SIZES_HW = [(48, 64), (47, 63), (2, 1), (1, 1)]


@pytest.mark.parametrize("size_hw", SIZES_HW)
@pytest.mark.parametrize("format", FORMATS)
def test_alpha_1_is_the_frame_and_alpha_0_the_background(make_frame, format, size_hw) -> None:
    frame, behind = make_frame(format, size_hw, seed=1), make_frame(format, size_hw, seed=2)
    for value, expected in ((1, frame.planes), (0, behind.planes)):
        composed = composite(frame, behind.planes, np.full(size_hw, value, np.float32))
        for plane, exact in zip(composed.planes, expected, strict=True):
            assert plane.dtype == exact.dtype
            assert np.array_equal(plane, exact)


@pytest.mark.parametrize("format", FORMATS)
def test_every_value_comes_through_exactly(make_frame, format) -> None:
    frame = make_frame(format, (256, 256))
    top = 1 << frame.layout.depth
    ramps = tuple(
        (np.arange(plane.size) % top).astype(plane.dtype).reshape(plane.shape)
        for plane in frame.planes
    )
    frame, opposite = frame.with_planes(ramps), tuple(top - 1 - ramp for ramp in ramps)
    alpha = np.zeros((256, 256), np.float32)
    assert all(map(np.array_equal, composite(frame, opposite, alpha).planes, opposite))
    assert all(map(np.array_equal, composite(frame, opposite, alpha + 1).planes, ramps))


def shrunk(alpha: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """The mean over each chroma value's pixels, in float64; sizes must divide."""
    v, h = 1 << shift[0], 1 << shift[1]
    rows, columns = alpha.shape
    return alpha.astype(np.float64).reshape(rows // v, v, columns // h, h).mean((1, 3))


@pytest.mark.parametrize("format", FORMATS)
def test_in_between_it_is_the_equation(make_frame, format) -> None:
    frame, behind = make_frame(format, seed=1), make_frame(format, seed=2)
    alpha = np.random.default_rng(3).random((48, 64), np.float32)
    composed = composite(frame, behind.planes, alpha)
    for number, plane in enumerate(composed.planes):
        part = shrunk(alpha, frame.layout.chroma_shift) if number else alpha.astype(np.float64)
        person, room = (each.planes[number].astype(np.float64) for each in (frame, behind))
        assert np.abs(plane - (part * person + (1 - part) * room)).max() <= 1


@pytest.mark.parametrize("format", FORMATS)
def test_a_frame_over_itself_is_itself(make_frame, format) -> None:
    frame = make_frame(format, (47, 63))
    alpha = np.random.default_rng(3).random((47, 63), np.float32)
    composed = composite(frame, frame.planes, alpha)
    assert all(map(np.array_equal, composed.planes, frame.planes))


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le"])
def test_an_edge_in_luma_is_the_same_edge_in_chroma(make_frame, format) -> None:
    top = 255 if format == "yuv420p" else 1023
    frame = make_frame(format, (48, 64), fill=(top, top, top))
    behind = make_frame(format, (48, 64), fill=(0, 0, 0))
    alpha = np.zeros((48, 64), np.float32)
    alpha[10:30, 20:41] = 1  # its last column covers half a chroma value
    luma, *chroma = composite(frame, behind.planes, alpha).planes
    for plane in chroma:
        assert plane.astype(float).mean() == pytest.approx(luma.astype(float).mean(), rel=0.01)


def test_time_tags_and_inputs_are_left_alone(make_frame) -> None:
    frame, behind = make_frame("yuv420p", pts=7), make_frame("yuv420p", seed=2)
    alpha = np.full((48, 64), 0.5, np.float32)
    for array in (*frame.planes, *behind.planes, alpha):
        array.flags.writeable = False
    composed = composite(frame, behind.planes, alpha)
    assert (composed.pts, composed.time_base) == (7, frame.time_base)
    assert (composed.format, composed.color) == (frame.format, frame.color)


def test_a_background_of_too_few_planes_is_an_error(make_frame) -> None:
    frame = make_frame("yuv420p")
    with pytest.raises(ValueError, match="shorter"):
        composite(frame, frame.planes[:1], np.zeros((48, 64), np.float32))


@pytest.mark.parametrize("plane_hw", [(24, 32), (48, 32), (48, 64), (24, 64), (12, 16)])
def test_the_alpha_of_a_plane_is_the_mean_over_its_pixels(plane_hw) -> None:
    alpha = np.random.default_rng(5).random((48, 64), np.float32)
    shift = ((48 // plane_hw[0]).bit_length() - 1, (64 // plane_hw[1]).bit_length() - 1)
    assert alpha_at(alpha, plane_hw) == pytest.approx(shrunk(alpha, shift), abs=1e-6)
