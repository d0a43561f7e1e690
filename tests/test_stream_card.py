"""The card: in the middle, nowhere else, readable, in every layout of the house."""

from __future__ import annotations

import numpy as np
import pytest

from stream.card import carded

FORMATS = [
    *("yuv420p", "yuv422p", "yuv440p", "yuv444p", "yuv410p", "yuv411p", "gbrp", "gray"),
    *("yuv420p10le", "yuv422p12le", "gbrp16le", "yuva420p", "yuva444p10le", "gbrap"),
]
SIZES_HW = [(720, 1280), (1280, 720), (360, 640), (361, 643), (480, 480)]
TEXT = "camera lost, waiting"


def changed(before: np.ndarray, after: np.ndarray) -> tuple[slice, slice]:
    """The smallest rectangle outside which nothing has changed."""
    rows, columns = np.nonzero(before != after)
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("size_hw", [(720, 1280), (361, 643)])
def test_it_lies_in_the_middle_of_every_plane_at_the_same_place(
    make_frame, format, size_hw
) -> None:
    frame = make_frame(format, size_hw)
    kept = [plane.copy() for plane in frame.planes]
    card = carded(frame, TEXT)
    assert (card.format, card.color, card.pts) == (frame.format, frame.color, frame.pts)
    for before, plane, after in zip(kept, frame.planes, card.planes, strict=True):
        assert np.array_equal(before, plane), "the frame itself is not drawn on"
        assert (after.shape, after.dtype) == (plane.shape, plane.dtype)
        for part, side in zip(changed(plane, after), plane.shape, strict=True):
            place = (part.start + part.stop) / 2 / side
            assert abs(place - 0.5) <= 4 / side + 2 / min(size_hw)
            assert part.stop - part.start < 0.5 * side


@pytest.mark.parametrize("size_hw", SIZES_HW)
@pytest.mark.parametrize("text", ["be right back", TEXT, "x" * 60])
def test_it_is_small_and_never_wider_than_the_frame(make_frame, size_hw, text) -> None:
    frame = make_frame(size_hw=size_hw, fill=(128, 128, 128))
    after = carded(frame, text).planes[0]
    rows, columns = changed(frame.planes[0], after)
    assert rows.stop - rows.start <= min(size_hw) / 8
    assert columns.stop - columns.start <= 0.92 * size_hw[1]


def test_white_on_dark_in_the_frames_own_range(make_frame) -> None:
    luma = carded(make_frame(size_hw=(720, 1280), fill=(235, 128, 128)), TEXT).planes[0]
    rows, columns = changed(np.full_like(luma, 235), luma)
    box = luma[rows, columns].astype(float)
    dark = 0.7 * (16 + 0.1 * 219) + 0.3 * 235  # the box over white
    assert abs(np.median(box) - dark) <= 1
    assert abs(box.max() - 235) <= 1  # at its round corners
    inner = box[8:-8, 30:-30]
    assert abs(inner.max() - (16 + 0.95 * 219)) <= 1  # the letters
    levels = np.unique(inner)
    assert len(levels[(levels > dark + 2) & (levels < 222)]) > 20, "edges of letters are soft"


def test_chroma_goes_gray_where_the_card_is(make_frame) -> None:
    frame = make_frame(size_hw=(720, 1280), fill=(128, 40, 220))
    card = carded(frame, TEXT)
    for plane, value in ((1, 40), (2, 220)):
        part = card.planes[plane][changed(frame.planes[plane], card.planes[plane])]
        assert abs(np.median(part) - (0.7 * 128 + 0.3 * value)) <= 1


def test_over_what_is_transparent_the_card_can_be_seen(make_frame) -> None:
    frame = make_frame("yuva420p", (720, 1280), fill=(16, 128, 128, 0))
    card = carded(frame, TEXT)
    assert abs(np.median(card.planes[3][changed(frame.planes[3], card.planes[3])]) - 178) <= 1
    assert card.planes[3].max() == 255


def test_without_text_or_room_it_is_the_frame_itself(make_frame) -> None:
    frame = make_frame(size_hw=(720, 1280))
    assert carded(frame, "") is frame
    for size_hw in ((2, 2), (47, 63), (720, 16), (16, 1280)):
        small = make_frame(size_hw=size_hw)
        assert carded(small, TEXT) is small


def test_the_same_card_is_drawn_once(make_frame, monkeypatch) -> None:
    frame = make_frame(size_hw=(144, 256), seed=1)
    first = carded(frame, "drawn once")
    monkeypatch.setattr("stream.card.ImageDraw", None)
    monkeypatch.setattr("stream.card.stored_planes", None)
    again = carded(frame, "drawn once")
    assert all(map(np.array_equal, first.planes, again.planes))
