"""Matte: the network's small matte becomes one of the frame's size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stream.matte import MatteRefiner, evenly, feathered, grown, solved

SIZES_HW = [(48, 64), (47, 63), (720, 1280), (1280, 720), (20, 160), (16, 16), (1, 1)]


@pytest.mark.parametrize(
    ("value", "firm"),
    [(0, 0), (0.02, 0), (0.09, 0), (0.3, 0.25), (0.5, 0.5), (0.7, 0.75), (0.92, 1), (1, 1)],
)
@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_a_constant_matte_stays_constant_and_its_ends_are_firm(
    make_frame, size_hw, value, firm
) -> None:
    alpha = np.full((32, 48), value, np.float32)
    refined = MatteRefiner().refine(alpha, make_frame("gray", size_hw))
    assert refined.shape == size_hw and refined.dtype == np.float32
    assert np.abs(refined - firm).max() <= 1e-4  # a fortieth of an 8-bit step
    if firm in (0, 1):
        assert np.all(refined == firm)  # else the frame's own bits would not come through


@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_the_matte_stays_between_0_and_1(make_frame, size_hw) -> None:
    alpha = np.random.default_rng(2).integers(0, 2, (32, 48)).astype(np.float32)
    refined = MatteRefiner().refine(alpha, make_frame("gray", size_hw))
    assert refined.min() >= 0 and refined.max() <= 1


@pytest.mark.parametrize("size_hw", [(64, 96), (320, 480), (33, 49), (96, 144)])
def test_an_edge_stays_where_it_is(make_frame, size_hw) -> None:
    h, w = size_hw
    alpha = np.zeros((32, 48), np.float32)
    alpha[8:, 12:] = 1  # the upper quarter and the left quarter are room
    refined = MatteRefiner().refine(alpha, make_frame("gray", size_hw, fill=(90,)))
    # The sum over a row counts person pixels: the edge to a fraction of a pixel.
    assert abs(refined[-1].sum() - 0.75 * w) <= 0.05 * w / 48 + 0.05
    assert abs(refined[:, -1].sum() - 0.75 * h) <= 0.05 * h / 32 + 0.05
    rows, columns = np.indices(size_hw)
    deep = (rows > 0.35 * h) & (columns > 0.35 * w)
    far = (rows < 0.15 * h) | (columns < 0.15 * w)
    assert np.all(refined[deep] >= 0.999) and np.all(refined[far] <= 0.001)


@pytest.mark.parametrize("format", ["yuv420p", "yuv420p10le", "gbrp"])
@pytest.mark.parametrize("person_luma", [60, 200])
def test_the_edge_follows_the_frames_own(make_frame, format, person_luma) -> None:
    """The small matte's edge is soft and half a small pixel off; the frame knows better."""
    h, w = 360, 640
    frame = make_frame(format, (h, w), fill=(0, 0, 0))
    luma = np.full((h, w), 128, frame.layout.dtype)
    luma[:, 325:] = person_luma
    luma <<= frame.layout.depth - 8
    frame = frame.with_planes((luma, *frame.planes[1:]))
    alpha = np.zeros((36, 64), np.float32)  # ten frame pixels each
    alpha[:, 32], alpha[:, 33:] = 0.75, 1
    refined = MatteRefiner().refine(alpha, frame)[180]
    assert refined[323] <= 0.35 and refined[326] >= 0.65  # a step, at the frame's place
    blunt = np.clip(
        (cv2.resize(alpha, (w, h), interpolation=cv2.INTER_CUBIC)[180] - 0.1) / 0.8, 0, 1
    )
    truth = (np.arange(w) >= 325).astype(float)
    assert np.abs(refined - truth).sum() < 0.8 * np.abs(blunt - truth).sum()


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le", "yuv444p"])
def test_an_edge_in_chroma_alone_is_followed_too(make_frame, format) -> None:
    """Red before green of the same luma: the old matte's edge is ten pixels wide."""
    h, w = 360, 640
    frame = make_frame(format, (h, w), fill=(0, 0, 0))
    shift = frame.layout.depth - 8
    columns = [np.indices(plane.shape)[1] * w / plane.shape[1] for plane in frame.planes]
    luma, blue, red = (
        (np.where(column >= 324, person, room) << shift).astype(frame.layout.dtype)
        for column, person, room in zip(columns, (100, 110, 170), (100, 90, 90), strict=True)
    )
    alpha = np.zeros((36, 64), np.float32)
    alpha[:, 32], alpha[:, 33:] = 0.6, 1
    refined = MatteRefiner().refine(alpha, frame.with_planes((luma, blue, red)))[180]
    even = MatteRefiner(enlarge=evenly).refine(alpha, frame)[180]
    truth = (np.arange(w) >= 324).astype(float)
    assert np.abs(refined - truth).sum() < 0.5 * np.abs(even - truth).sum()


def test_where_the_picture_shows_no_edge_the_network_is_believed(make_frame) -> None:
    """A gray person in a gray room: the windows' means must not spread the edge into a halo."""
    alpha = np.zeros((64, 96), np.float32)
    alpha[:, 48:] = 1
    refined = MatteRefiner().refine(alpha, make_frame("yuv420p", (640, 960), fill=(90, 128, 128)))
    assert np.all(refined[:, :460] == 0) and np.all(refined[:, 500:] == 1)


@pytest.mark.parametrize("size_hw", [(48, 64), (24, 32), (640, 480)])
def test_enlarged_evenly_it_does_not_look_at_the_picture(make_frame, size_hw) -> None:
    alpha = np.random.default_rng(1).random((48, 64), np.float32)
    one, other = (
        MatteRefiner(enlarge=evenly).refine(alpha, make_frame("yuv420p", size_hw, seed=seed))
        for seed in (1, 2)
    )
    assert np.array_equal(one, other) and one.shape == size_hw
    if size_hw == alpha.shape:
        assert np.abs(one - np.clip((alpha - 0.1) / 0.8, 0, 1)).max() <= 1e-6


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_systems_are_solved_as_by_numpy(count) -> None:
    rng = np.random.default_rng(count)
    root = rng.normal(size=(5, 7, count, count))
    full = root @ root.swapaxes(-1, -2) + 0.1 * np.eye(count)
    wanted = rng.normal(size=(5, 7, count))
    lower = [[full[..., row, column] for column in range(row + 1)] for row in range(count)]
    solution = solved(lower, [wanted[..., row] for row in range(count)])
    expected = np.linalg.solve(full, wanted[..., None])[..., 0]
    assert np.stack(solution, -1) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("size_hw", [(48, 64), (90, 160)])
def test_the_networks_own_array_is_not_written_to(make_frame, size_hw) -> None:
    alpha = np.random.default_rng(1).random((48, 64), np.float32)
    alpha.flags.writeable = False
    MatteRefiner().refine(alpha, make_frame("gray", size_hw))


@pytest.mark.parametrize("period", [2, 4])
def test_a_picture_smaller_than_the_networks_keeps_its_coverage(make_frame, period) -> None:
    alpha = np.zeros((256, 256), np.float32)
    alpha[:, ::period] = 1  # the same part of each pixel of a picture a quarter the size
    for side in (64, 16):
        refined = MatteRefiner().refine(alpha, make_frame("gray", (side, side)))
        assert np.abs(refined - 1 / period).max() <= 0.1


def disk(radius: float) -> np.ndarray:
    """(200, 200): a person that is a disk, with an edge of one pixel."""
    rows, columns = np.indices((200, 200)) - 99.5
    return np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1).astype(np.float32)


def radius_of(alpha: np.ndarray) -> float:
    return float(np.sqrt(alpha.sum() / np.pi))


@pytest.mark.parametrize("px", [-12, -5, -2.5, -1, -0.4, 0.4, 1, 2.5, 5, 12])
def test_growing_moves_the_edge_by_so_many_pixels(px) -> None:
    assert radius_of(grown(disk(50), px)) == pytest.approx(50 + px, abs=0.4 + 0.03 * abs(px))


@pytest.mark.parametrize("px", [0.5, 2, 6, 12])
def test_a_feather_outside_loses_nothing_of_the_person(px) -> None:
    alpha, soft = disk(50), feathered(disk(50), px)
    assert np.all(soft >= alpha)
    across = soft[100, 100:]
    assert np.all(np.diff(across) <= 1e-6)  # it only fades
    assert np.all(across[int(50 + 3 * px) + 2 :] <= 0.02)
    assert 0.2 < across[round(50 + px)] < 0.8 or px < 2


@pytest.mark.parametrize("px", [-0.5, -2, -6, -12])
def test_a_feather_inside_lets_nothing_of_the_room_in(px) -> None:
    alpha, soft = disk(50), feathered(disk(50), px)
    assert np.all(soft <= alpha)
    across = soft[100, 100:]
    assert np.all(np.diff(across) <= 1e-6)
    assert np.all(across[: max(0, int(50 + 3 * px) - 2)] >= 0.98)


@pytest.mark.parametrize("lines", [360, 720, 1440])
def test_edges_are_counted_at_720_lines(make_frame, lines) -> None:
    alpha = np.zeros((36, 64), np.float32)
    alpha[:, 32:] = 1
    frame = make_frame("gray", (lines, lines * 16 // 9), fill=(90,))
    row = [
        MatteRefiner(grow_px=px).refine(alpha, frame)[lines // 2].sum() * 720 / lines
        for px in (0, 10, -10)
    ]
    assert row[1] - row[0] == pytest.approx(10, abs=1)
    assert row[2] - row[0] == pytest.approx(-10, abs=1)


def test_a_person_cut_by_the_frame_is_not_eaten_from_there() -> None:
    alpha = np.ones((60, 80), np.float32)
    assert np.all(grown(alpha, -5) == 1) and np.all(feathered(alpha, -5) >= 1 - 1e-6)


@pytest.mark.parametrize("px", [-9, -3.3, -0.7, 0.1, 0.9, 2.6, 9])
@pytest.mark.parametrize("moved", [grown, feathered])
def test_person_and_room_stay_exactly_1_and_0(moved, px) -> None:
    """A person of 0.9999999 would be taken for an edge all over."""
    alpha = moved(disk(60), px)
    assert alpha.min() == 0 and alpha.max() == 1
    assert np.all(alpha[92:108, 92:108] == 1) and np.all(alpha[:8, :8] == 0)
