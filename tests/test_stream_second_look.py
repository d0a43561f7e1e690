"""The second look at stills: in the right place, mirrored, closer or from further away."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from stream.frame import Frame
from stream.letterbox import input_hw_for
from stream.second_look import TwiceSegmenter, Window
from stream.segmenter import Segmenter


class Bright:
    """A backend without an engine: alpha is the mean of R, G and B over 255."""

    name = "bright"

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """As the real ones do."""
        return input_hw_for(display_hw, 64 * 64)

    def infer(self, image: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """Blind to what was before, which a still must never have."""
        assert not previous.any()
        self.shown.append(image.copy())
        return image.mean(-1, keepdims=True) / np.float32(255)

    def close(self) -> None:
        """Nothing is held."""


class LeansLeft(Bright):
    """Sees everything darker the further right it is."""

    def infer(self, image: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """All of it at the left border, none at the right one."""
        ramp = np.linspace(1, 0, image.shape[2], dtype=np.float32)[:, None]
        return super().infer(image, previous) * ramp


def lit(size_hw: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    """A dark picture (H, W) with a bright box (top, bottom, left, right)."""
    picture = np.zeros(size_hw, np.uint8)
    top, bottom, left, right = box
    picture[top:bottom, left:right] = 255
    return picture


def frame_of(make_frame, gray: np.ndarray) -> Frame:
    """That picture as a still."""
    return replace(make_frame("gbrp", gray.shape), planes=(gray, gray, gray))


@pytest.mark.parametrize(
    ("size_hw", "box"),
    [
        ((400, 600), (300, 350, 40, 80)),
        ((400, 600), (0, 60, 560, 600)),
        ((600, 400), (100, 500, 30, 370)),
        ((47, 63), (20, 40, 10, 30)),
        ((1201, 803), (700, 1201, 400, 803)),
    ],
    ids=["small", "in a corner", "fills the picture", "tiny picture", "odd sides"],
)
def test_people_are_found_where_they_are(make_frame, size_hw, box) -> None:
    picture = lit(size_hw, box)
    alpha = TwiceSegmenter(Bright()).segment(frame_of(make_frame, picture))
    assert alpha is not None
    whole = cv2.resize(alpha, size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    ys, xs = np.nonzero(picture)
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    step = max(size_hw) / 64  # pixels of the picture in one of the far look's
    for axis, wanted in ((rows, ys.mean()), (columns, xs.mean())):
        assert (whole * axis).sum() / whole.sum() == pytest.approx(wanted, abs=0.15 * step)


def test_a_small_person_is_seen_in_more_detail(make_frame) -> None:
    picture = lit((400, 600), (300, 350, 40, 80))
    frame = frame_of(make_frame, picture)
    errors = []
    for segmenter in (Segmenter(Bright()), TwiceSegmenter(Bright())):
        alpha = segmenter.segment(frame)
        assert alpha is not None
        whole = cv2.resize(alpha, (600, 400), interpolation=cv2.INTER_LINEAR)
        errors.append(np.abs(whole - picture / 255).sum())
    assert errors[1] < 0.75 * errors[0]  # half of the matte is the far look's


def test_the_second_look_is_mirrored_and_closer(make_frame) -> None:
    backend = Bright()
    picture = lit((400, 600), (300, 350, 40, 80))
    TwiceSegmenter(backend).segment(frame_of(make_frame, picture))
    far, near = (shown.mean(-1) > 127 for shown in backend.shown)
    assert near.mean() > 4 * far.mean()
    assert np.nonzero(far)[-1].mean() < far.shape[-1] / 4
    assert np.nonzero(near)[-1].mean() > near.shape[-1] / 2


def test_both_looks_are_of_one_shape(make_frame) -> None:
    """Another would have the engine built anew, which takes TensorRT minutes."""
    for side in range(20, 60, 3):
        backend = Bright()
        picture = lit((97, 131), (20, 20 + side, 30, 30 + side // 2))
        TwiceSegmenter(backend).segment(frame_of(make_frame, picture))
        far, near = backend.shown
        assert far.shape == near.shape
        assert not np.array_equal(far, near[:, :, ::-1])  # it came closer


def test_who_fills_the_picture_is_seen_mirrored_from_further_away(make_frame) -> None:
    backend = Bright()
    picture = lit((96, 96), (0, 96, 0, 48))
    picture[picture == 0] = 60
    TwiceSegmenter(backend).segment(frame_of(make_frame, picture))
    far, further = (shown[0].mean(-1) for shown in backend.shown)
    assert far.shape == further.shape
    assert (far == 255).mean() == pytest.approx(1 / 2, abs=0.02)
    assert (further == 255).mean() == pytest.approx(1 / 4, abs=0.02)
    assert np.nonzero(further == 255)[1].mean() > further.shape[1] / 2
    assert np.all(further[[0, -1]] == 127)  # the network's nothing


def test_what_leans_to_one_side_is_balanced(make_frame) -> None:
    frame = make_frame("gbrp", (64, 96), fill=(255,) * 3)
    once, twice = (kind(LeansLeft()).segment(frame) for kind in (Segmenter, TwiceSegmenter))
    assert once is not None and twice is not None
    assert np.ptp(once) > 0.95
    assert np.ptp(twice) < 0.2
    assert twice.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("value", [0, 90, 255])
def test_a_constant_picture_stays_one(make_frame, value) -> None:
    alpha = TwiceSegmenter(Bright()).segment(make_frame("gbrp", (48, 64), fill=(value,) * 3))
    assert alpha == pytest.approx(np.full((48, 64), value / 255), abs=1e-3)


def test_nobody_is_not_looked_for_closely() -> None:
    specks = np.zeros((48, 64), np.float32)
    specks[3, 4:9] = 1
    assert Window.around_people(specks, (480, 640)).hw == (480, 640)


def test_it_comes_four_times_nearer_at_most() -> None:
    alpha = np.zeros((100, 200), np.float32)
    alpha[50:55, 20:25] = 1
    h, w = Window.around_people(alpha, (1000, 2000)).hw
    assert (h, w) == (250, 500)


def test_a_matte_is_never_larger_than_picture_or_network(make_frame) -> None:
    picture = lit((47, 63), (20, 40, 10, 30))
    alpha = TwiceSegmenter(Bright()).segment(frame_of(make_frame, picture))
    far = Segmenter(Bright()).segment(frame_of(make_frame, picture))
    assert alpha is not None and far is not None
    assert alpha.shape[0] <= max(47, far.shape[0]) and alpha.shape[1] <= max(63, far.shape[1])


def test_the_same_still_twice_is_the_same_matte(make_frame) -> None:
    segmenter = TwiceSegmenter(Bright())
    frame = frame_of(make_frame, lit((48, 64), (10, 40, 4, 30)))
    first, again = segmenter.segment(frame), segmenter.segment(frame)
    assert first is not None and np.array_equal(first, again)
