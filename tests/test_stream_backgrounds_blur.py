"""Blur: the room as if the person were not there, equally soft in every plane and size."""

from __future__ import annotations

import numpy as np
import pytest

from stream.backgrounds import open_background
from stream.blur import Blur
from stream.frame import Frame

FORMATS = ["yuv420p", "yuv422p", "yuv420p10le", "yuv444p12le", "gbrp", "gbrp16le"]
ROOM, PERSON = (0.55, 0.45, 0.52), (0.2, 0.95, 0.05)  # as parts of the largest value


def levels(frame: Frame, parts: tuple[float, ...]) -> list[int]:
    return [round(part * ((1 << frame.layout.depth) - 1)) for part in parts]


def scene(make_frame, format: str, alpha: np.ndarray) -> Frame:
    """A saturated person on a flat room, mixed by the alpha as a lens would."""
    frame = make_frame(format, alpha.shape)
    planes = []
    for plane, room, person in zip(
        frame.planes, levels(frame, ROOM), levels(frame, PERSON), strict=True
    ):
        v, h = -(-alpha.shape[0] // plane.shape[0]), -(-alpha.shape[1] // plane.shape[1])
        part = alpha.astype(float).reshape(plane.shape[0], v, plane.shape[1], h).mean((1, 3))
        planes.append(np.rint(part * person + (1 - part) * room).astype(plane.dtype))
    return frame.with_planes(tuple(planes))


def body(size_hw: tuple[int, int], soft_px: float = 0.0) -> np.ndarray:
    """An ellipse in the lower middle; its edge is `soft_px` wide."""
    rows, columns = np.indices(size_hw)
    down, right = (rows / size_hw[0] - 0.65) / 0.4, (columns / size_hw[1] - 0.5) / 0.2
    distance_px = (1 - np.hypot(down, right)) * 0.2 * size_hw[1]
    return np.clip(0.5 + distance_px / max(soft_px, 1e-3), 0, 1).astype(np.float32)


def bar(size_hw: tuple[int, int], width_px: int) -> np.ndarray:
    """An arm or a pole, this thin."""
    alpha = np.zeros(size_hw, np.float32)
    alpha[:, size_hw[1] // 2 : size_hw[1] // 2 + width_px] = 1
    return alpha


def away_from_room(composed: Frame, frame: Frame, alpha: np.ndarray) -> float:
    """The largest difference from the flat room outside of the person, in 8-bit code values."""
    unit, worst = 2.0 ** (frame.layout.depth - 8), 0.0
    for plane, room in zip(composed.planes, levels(frame, ROOM), strict=True):
        v, h = -(-alpha.shape[0] // plane.shape[0]), -(-alpha.shape[1] // plane.shape[1])
        covered = alpha.reshape(plane.shape[0], v, plane.shape[1], h).max((1, 3))
        worst = max(worst, np.abs(plane[covered == 0].astype(float) - room).max() / unit)
    return worst


@pytest.mark.parametrize("size_hw", [(48, 64), (47, 63), (2, 2), (1, 1), (360, 640)])
@pytest.mark.parametrize("format", FORMATS)
def test_a_constant_room_stays_constant(make_frame, format, size_hw) -> None:
    frame = make_frame(format, size_hw)
    values = levels(frame, ROOM)
    frame = make_frame(format, size_hw, fill=tuple(values))
    alpha = np.random.default_rng(1).random(size_hw, np.float32)
    for plane, value in zip(Blur(18).compose(frame, alpha).planes, values, strict=True):
        assert np.abs(plane.astype(int) - value).max() <= 1


@pytest.mark.parametrize("strength", ["blur:72", "blur:20", "blur:200"])
@pytest.mark.parametrize("soft_px", [0, 2, 8])
@pytest.mark.parametrize("format", FORMATS)
def test_the_person_leaves_no_halo(make_frame, format, soft_px, strength) -> None:
    alpha = body((180, 320), soft_px)
    frame = scene(make_frame, format, alpha)
    composed = open_background(strength).compose(frame, alpha)
    assert away_from_room(composed, frame, alpha) <= 2


@pytest.mark.parametrize("width_px", [2, 3, 5, 8])
@pytest.mark.parametrize("format", ["yuv420p", "gbrp"])
def test_a_thin_arm_leaves_no_halo(make_frame, format, width_px) -> None:
    alpha = bar((180, 320), width_px)
    frame = scene(make_frame, format, alpha)
    assert away_from_room(Blur(72).compose(frame, alpha), frame, alpha) <= 2


@pytest.mark.parametrize("format", FORMATS)
def test_a_frame_full_of_person_comes_through(make_frame, format) -> None:
    frame = make_frame(format, (90, 160))
    composed = Blur(18).compose(frame, np.ones((90, 160), np.float32))
    assert all(map(np.array_equal, composed.planes, frame.planes))
    half = Blur(18).compose(frame, np.full((90, 160), 0.999, np.float32))
    unit = 1 << (frame.layout.depth - 8)
    for plane, person in zip(half.planes, frame.planes, strict=True):
        assert np.abs(plane.astype(int) - person).max() <= unit


def gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    """A plain Gaussian along the columns in float64, edges repeated."""
    reach = int(5 * sigma) + 1
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(values.astype(float), ((0, 0), (reach, reach)), "edge")
    return np.stack([np.convolve(row, taps / taps.sum(), "valid") for row in padded])


@pytest.mark.parametrize(
    ("size_hw", "sigma_px"), [((360, 640), 9), ((720, 1280), 18), ((180, 320), 4.5)]
)
def test_an_empty_room_is_blurred_by_a_gaussian_scaled_to_the_lines(
    make_frame, size_hw, sigma_px
) -> None:
    step = np.where(np.arange(size_hw[1]) < size_hw[1] // 2, 40, 200).astype(np.uint8)
    plane = np.tile(step, (size_hw[0], 1))
    frame = make_frame("gbrp", size_hw, planes=(plane, plane, plane))
    blurred = Blur(18).compose(frame, np.zeros(size_hw, np.float32)).planes[0]
    expected = gaussian(plane[:1], sigma_px)
    assert np.abs(blurred - expected).max() <= 4  # it runs on a smaller plane
    assert np.abs(blurred - expected).mean() <= 0.6


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p", "yuv444p", "yuv440p"])
@pytest.mark.parametrize("across", [True, False])
def test_color_is_blurred_as_far_as_brightness(make_frame, format, across) -> None:
    frame = make_frame(format, (360, 640))
    steps = []
    for plane in frame.planes:
        rows, columns = np.indices(plane.shape)
        along, length = (columns, plane.shape[1]) if across else (rows, plane.shape[0])
        steps.append(np.where(along < length // 2, 60, 180).astype(np.uint8))
    alpha = np.zeros((360, 640), np.float32)
    luma, *chroma = Blur(18).compose(frame.with_planes(tuple(steps)), alpha).planes
    for plane in chroma:
        v, h = 360 // plane.shape[0], 640 // plane.shape[1]
        expected = luma.astype(float).reshape(plane.shape[0], v, plane.shape[1], h).mean((1, 3))
        assert np.abs(plane - expected).max() <= 4


def test_more_strength_blurs_more(make_frame) -> None:
    frame, alpha = make_frame("gbrp", (360, 640)), np.zeros((360, 640), np.float32)
    spreads = [
        open_background(spec).compose(frame, alpha).planes[0].std()
        for spec in ("none", "blur:2", "blur:6", "blur", "blur:60")
    ]
    assert spreads == sorted(spreads, reverse=True) and spreads[-1] < spreads[0] / 20


def test_the_background_behind_the_person_is_not_remembered(make_frame) -> None:
    blur, alpha = Blur(18), body((90, 160))
    first, second = (make_frame("yuv420p", (90, 160), seed=seed) for seed in (1, 2))
    blur.compose(first, alpha)
    again, fresh = blur.compose(second, alpha), Blur(18).compose(second, alpha)
    assert all(map(np.array_equal, again.planes, fresh.planes))
