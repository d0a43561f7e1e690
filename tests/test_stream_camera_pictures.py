"""Pictures of cameras in every format become limited-range 4:2:0 with the right values."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stream.sources.camera_pictures import BrokenPicture, Pictures
from stream.sources.modes import READABLE

H, W = 8, 12
Array = NDArray[np.uint8]

RNG = np.random.default_rng(5)
LUMA = RNG.integers(16, 236, (H, W), np.uint8)
U, V = RNG.integers(16, 241, (2, H // 2, W // 2), np.uint8)


def rows_twice(plane: Array) -> Array:
    """4:2:2 whose rows are equal in pairs, so that 4:2:0 has them exactly."""
    return np.repeat(plane, 2, axis=0)


def packed(order: str) -> Array:
    """(H, W, 2), the values of two pixels in an order such as YUYV."""
    quads = np.empty((H, W // 2, 4), np.uint8)
    values = {"U": [rows_twice(U)], "V": [rows_twice(V)], "Y": [LUMA[:, 1::2], LUMA[:, 0::2]]}
    for place, word in enumerate(order):
        quads[..., place] = values[word].pop()
    return quads.reshape(H, W, 2)


def semiplanar(first: Array, second: Array) -> Array:
    """(H * 3 / 2, W)"""
    return np.concatenate([LUMA, np.stack([first, second], -1).reshape(H // 2, W)])


RAW = {
    "YUYV": packed("YUYV"),
    "UYVY": packed("UYVY"),
    "YVYU": packed("YVYU").reshape(1, -1),  # as OpenCV gives formats that it does not know
    "VYUY": packed("VYUY").reshape(1, -1),
    "NV12": semiplanar(U, V),
    "NV21": semiplanar(V, U),
    "YU12": np.concatenate([plane.reshape(-1) for plane in (LUMA, U, V)]).reshape(-1, W),
    "YV12": np.concatenate([plane.reshape(-1) for plane in (LUMA, V, U)]).reshape(-1, W),
}


@pytest.mark.parametrize("fourcc", RAW)
def test_limited_values_come_through_bit_for_bit(fourcc: str) -> None:
    planes = Pictures(fourcc, (H, W), False).planes(RAW[fourcc])
    for plane, expected in zip(planes, (LUMA, U, V), strict=True):
        np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("fourcc", RAW)
def test_full_range_is_brought_to_limited(fourcc: str) -> None:
    planes = Pictures(fourcc, (H, W), True).planes(RAW[fourcc])
    expected = (
        LUMA * (219 / 255) + 16,
        (U - 128.0) * (224 / 255) + 128,
        (V - 128.0) * (224 / 255) + 128,
    )
    for plane, values in zip(planes, expected, strict=True):
        np.testing.assert_allclose(plane, values, atol=0.5001)


@pytest.mark.parametrize("fourcc", RAW)
def test_a_short_buffer_is_a_broken_picture(fourcc: str) -> None:
    with pytest.raises(BrokenPicture, match="bytes of"):
        Pictures(fourcc, (H, W), False).planes(RAW[fourcc].reshape(-1)[:-1])


def test_chroma_of_two_rows_is_their_mean() -> None:
    raw = np.zeros((2, 2, 2), np.uint8)
    raw[..., 1] = [[100, 60], [110, 80]]  # U, V of either row
    _, u, v = Pictures("YUYV", (2, 2), False).planes(raw)
    assert (u.item(), v.item()) == (105, 70)


@pytest.mark.parametrize("fourcc", ["RGB3", "BGR3"])
@pytest.mark.parametrize("full_range", [False, True])  # of RGB, drivers may say either
def test_rgb_becomes_limited_bt601(fourcc: str, full_range: bool) -> None:
    rgb = np.zeros((2, 10, 3), np.uint8)
    rgb[:, 2:4], rgb[:, 4:6] = 255, 128
    rgb[:, 6:8, 0] = rgb[:, 8:10, 2] = 255  # red, blue
    raw = rgb if fourcc == "RGB3" else np.ascontiguousarray(rgb[..., ::-1])
    y, u, v = Pictures(fourcc, (2, 10), full_range).planes(raw)
    expected = [(16, 128, 128), (235, 128, 128), (126, 128, 128), (81, 90, 240), (41, 240, 110)]
    got = np.stack([y[0, ::2], u[0], v[0]], -1)
    np.testing.assert_allclose(got, expected, atol=1)


def jpeg(format: str, values: Array) -> Array:
    """(1, N) bytes of a JPEG of full range whose luma holds `values` from left to right."""
    if format == "gray":
        luma = np.tile(np.repeat(values, 16), (32, 1))
        return cv2.imencode(".jpg", luma, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].reshape(1, -1)
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = values.size * 16, 32, format
    encoder.time_base, encoder.color_range = Fraction(1, 30), 2
    encoder.options = {"strict": "-1"}
    picture = av.VideoFrame(encoder.width, encoder.height, format)
    for plane, gray in zip(picture.planes, (values, 128, 128), strict=False):
        row = np.full(plane.line_size, 128, np.uint8)
        row[: plane.width] = np.repeat(gray, plane.width // np.size(gray))
        plane.update(np.tile(row, plane.height).tobytes())
    picture.pts = 0
    (packet,) = [*encoder.encode(picture), *encoder.encode(None)]
    return np.frombuffer(bytes(packet), np.uint8)[None]


GRAYS = np.array([0, 255, 128], np.uint8)


@pytest.mark.parametrize("format", ["yuvj422p", "yuvj420p", "yuvj444p", "gray"])
def test_black_white_and_gray_of_a_jpeg_are_exact(format: str) -> None:
    pictures = Pictures("MJPG", (32, 48), False)
    planes = pictures.planes(jpeg(format, GRAYS))
    assert [plane.shape for plane in planes] == [(32, 48), (16, 24), (16, 24)]
    np.testing.assert_allclose(planes[0][:, 8::16], np.tile([16, 235, 126], (32, 1)), atol=1)
    for plane in planes[1:]:
        np.testing.assert_allclose(plane, 128, atol=1)


def test_a_cut_jpeg_is_broken_and_the_next_whole_one_is_not() -> None:
    pictures = Pictures("MJPG", (32, 48), False)
    noise = RNG.integers(0, 256, (32, 48), np.uint8)  # so that most bytes are picture, not head
    whole = cv2.imencode(".jpg", noise)[1].reshape(1, -1)
    before = pictures.planes(whole)[0].copy()
    for share in (0.9, 0.6, 0.1):
        with pytest.raises(BrokenPicture):
            pictures.planes(whole[:, : int(whole.size * share)])
    for padded in (np.pad(whole, ((0, 0), (0, 500))), whole[:, :-2]):  # as some cameras end it
        np.testing.assert_array_equal(pictures.planes(padded)[0], before)


def test_a_jpeg_of_another_size_is_broken() -> None:
    with pytest.raises(BrokenPicture, match="another size"):
        Pictures("MJPG", (32, 64), False).planes(jpeg("yuvj422p", GRAYS))


@pytest.mark.parametrize("fourcc", ["YUYV", "NV12", "YU12"])
def test_odd_sides_are_cut_to_even_ones(fourcc: str) -> None:
    h, w = 5, 6 if fourcc == "YUYV" else 7
    raw = np.full(h * w * 2 if fourcc == "YUYV" else h * w + 2 * 3 * 4, 90, np.uint8)
    planes = Pictures(fourcc, (h, w), False).planes(raw)
    assert [plane.shape for plane in planes] == [(4, 6), (2, 3), (2, 3)]


def test_every_format_that_is_asked_for_can_be_read() -> None:
    sizes = {"RGB3": 3 * H * W, "BGR3": 3 * H * W}
    for fourcc in set(READABLE) - {"MJPG", "JPEG"}:
        raw = np.full(sizes.get(fourcc, 2 * H * W), 90, np.uint8)
        assert Pictures(fourcc, (H, W), False).planes(raw)[0].shape == (H, W)
