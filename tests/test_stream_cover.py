"""Cover: the middle of a frame fills another one's size."""

from __future__ import annotations

import numpy as np

from stream.cover import fitted
from stream.frame import Frame, gray_frame


def live(luma: np.ndarray, chroma: tuple[int, int] = (128, 128)) -> Frame:
    """A live frame of this luma and one color."""
    frame = gray_frame(luma.shape)
    planes = (np.full_like(plane, v) for plane, v in zip(frame.planes[1:], chroma, strict=True))
    return frame.with_planes((luma, *planes))


def test_a_frame_of_the_kind_is_not_touched() -> None:
    frame = gray_frame((6, 8))
    assert fitted(frame, gray_frame((6, 8))) is frame.planes


def test_another_shape_is_filled_with_the_middle() -> None:
    luma = np.full((90, 160), 50, np.uint8)
    luma[:, :16] = luma[:, -16:] = 235  # 4:3 has no room for 20 columns at each end
    planes = fitted(live(luma, (100, 200)), gray_frame((60, 80)))
    assert [plane.shape for plane in planes] == [(60, 80), (30, 40), (30, 40)]
    for plane, value in zip(planes, (50, 100, 200), strict=True):
        assert np.all(np.abs(plane.astype(int) - value) <= 1)


def test_a_tall_frame_cuts_the_sides_alike() -> None:
    luma = np.tile(np.arange(100, 164, dtype=np.uint8), (48, 1))
    planes = fitted(live(luma), gray_frame((96, 16)))
    assert planes[0].shape == (96, 16)
    assert abs(planes[0].mean() - 131.5) < 1  # the mean of the columns, cut evenly
