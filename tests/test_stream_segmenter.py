"""Segmenter: the alpha lies where the picture does, whatever its shape, and on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stream import StreamError
from stream.backends import open_backend
from stream.interfaces import Backend
from stream.letterbox import input_hw_for
from stream.segmenter import CautiousSegmenter, Segmenter, display_hw

SIZES_HW = [(48, 64), (64, 48), (64, 64), (90, 160), (160, 90), (40, 320), (320, 40), (47, 63)]


class Bright:
    """A backend without an engine: alpha is the mean of R, G and B over 255."""

    name = "bright"

    def __init__(self) -> None:
        self.fitted: list[tuple[int, int]] = []
        self.remembered: list[np.ndarray] = []
        self._alpha = np.empty(0, np.float32)

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        """As the real ones do."""
        self.fitted.append(input_hw_for(display_hw, 64 * 64))
        return self.fitted[-1]

    def infer(self, image: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """Valid until the next call: the array before is spoiled, to catch who keeps it."""
        assert image.shape == (1, *self.fitted[-1], 3) and image.dtype == np.float32
        assert previous.shape == (1, *self.fitted[-1], 1) and previous.dtype == np.float32
        self.remembered.append(previous.copy())
        self._alpha.fill(np.nan)
        self._alpha = image.mean(-1, keepdims=True) / np.float32(255)
        return self._alpha

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(scope="module")
def engine(bright_network: Path) -> Iterator[Backend]:
    """The real engine, loaded once with the network whose alpha is known."""
    opened = open_backend(bright_network)
    yield opened
    opened.close()


@pytest.fixture(params=["bright", "openvino"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each engine in turn."""
    return Bright() if request.param == "bright" else request.getfixturevalue("engine")


@pytest.mark.parametrize("size_hw", SIZES_HW)
@pytest.mark.parametrize("value", [0, 64, 255])
def test_a_constant_picture_gives_a_constant_alpha(make_frame, backend, size_hw, value) -> None:
    alpha = Segmenter(backend).segment(make_frame("gbrp", size_hw, fill=(value,) * 3))
    assert alpha.ndim == 2 and alpha.dtype == np.float32
    assert alpha == pytest.approx(np.full(alpha.shape, value / 255), abs=1e-4)


@pytest.mark.parametrize(("format", "white"), [("yuv420p", 235), ("yuv422p10le", 940)])
def test_white_is_255_to_the_network(make_frame, backend, format, white) -> None:
    neutral = 128 if white == 235 else 512
    alpha = Segmenter(backend).segment(
        make_frame(format, (90, 160), fill=(white, neutral, neutral))
    )
    assert alpha == pytest.approx(np.ones(alpha.shape), abs=1e-3)


def square_at(make_frame, size_hw, center, pixel_aspect=Fraction(1), format="gbrp"):
    """A black frame with a white square of a quarter of the shorter side; its true center."""
    h, w = size_hw
    half = max(2, min(h, w) // 8)
    row, column = round(center[0] * h), round(center[1] * w)
    rows = slice(max(0, row - half), row + half)
    columns = slice(max(0, column - half), column + half)
    frame = make_frame(format, size_hw, pixel_aspect=pixel_aspect)
    dark, light = (
        ((0, 0, 0), (255, 255, 255)) if format == "gbrp" else ((16, 128, 128), (235, 128, 128))
    )
    planes = [
        np.full(plane.shape, value, np.uint8)
        for plane, value in zip(frame.planes, dark, strict=True)
    ]
    for plane, value in zip(planes, light, strict=True):
        if plane.shape == size_hw:
            plane[rows, columns] = value
    return frame.with_planes(tuple(planes)), center_of(planes[0].astype(float) - dark[0])


def center_of(weights: np.ndarray) -> tuple[float, float]:
    """The center of mass, as fractions of height and width."""
    rows, columns = (np.arange(side) + 0.5 for side in weights.shape)
    total = weights.sum()
    return (
        float((weights.sum(1) * rows).sum() / total / weights.shape[0]),
        float((weights.sum(0) * columns).sum() / total / weights.shape[1]),
    )


@pytest.mark.parametrize("center", [(0.5, 0.5), (0.2, 0.25), (0.75, 0.8), (0.25, 0.7)])
@pytest.mark.parametrize("format", ["gbrp", "yuv420p"])
@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_the_alpha_lies_where_the_picture_does(
    make_frame, backend, size_hw, format, center
) -> None:
    frame, expected = square_at(make_frame, size_hw, center, format=format)
    alpha = Segmenter(backend).segment(frame)
    for found, true, side in zip(center_of(alpha), expected, alpha.shape, strict=True):
        assert abs(found - true) <= 0.3 / side  # of a pixel of the alpha


@pytest.mark.parametrize("pixel_aspect", [Fraction(2), Fraction(1, 2), Fraction(64, 45)])
def test_people_are_not_squeezed_where_pixels_are_not_square(
    make_frame, backend, pixel_aspect
) -> None:
    frame, expected = square_at(make_frame, (72, 90), (0.4, 0.6), pixel_aspect)
    assert display_hw(frame) == (72.0, pytest.approx(90 * float(pixel_aspect)))
    alpha = Segmenter(backend).segment(frame)
    h, w = alpha.shape
    shape = 90 * float(pixel_aspect) / 72
    assert abs(w - h * shape) <= 0.5 + 0.5 * shape  # both sides are rounded
    for found, true, side in zip(center_of(alpha), expected, alpha.shape, strict=True):
        assert abs(found - true) <= 0.3 / side


def test_one_backend_serves_frames_of_many_shapes(make_frame, backend) -> None:
    segmenter = Segmenter(backend)
    frames = [
        square_at(make_frame, (64, round(64 * aspect)), (0.4, 0.6))[0]
        for aspect in (1 / 4, 1 / 3, 1 / 2, 3 / 4, 1, 4 / 3, 2, 3, 4)  # more than are kept compiled
    ]
    first = [segmenter.segment(frame).copy() for frame in frames]
    again = [segmenter.segment(frame).copy() for frame in reversed(frames)]
    assert len({alpha.shape for alpha in first}) >= 4
    for before, after in zip(first, reversed(again), strict=True):
        assert np.array_equal(before, after)


def test_the_frame_is_not_written_to(make_frame, backend) -> None:
    frame = make_frame("yuv420p10le", (90, 160))
    for plane in frame.planes:
        plane.flags.writeable = False
    Segmenter(backend).segment(frame)


# What it remembers


def test_each_frame_comes_with_the_matte_before_it(make_frame) -> None:
    backend = Bright()
    segmenter = Segmenter(backend)
    for value in (100, 110, 120):
        segmenter.segment(make_frame("gbrp", (64, 64), fill=(value,) * 3))
    seen = [previous.mean() * 255 for previous in backend.remembered]
    assert seen == pytest.approx([0, 100, 110], abs=1e-3)


@pytest.mark.parametrize("cut", ["scene", "shape", "forget"])
def test_after_a_cut_it_starts_anew(make_frame, cut) -> None:
    backend = Bright()
    segmenter = Segmenter(backend)
    segmenter.segment(make_frame("gbrp", (64, 64), fill=(100,) * 3))
    if cut == "forget":
        segmenter.forget()
    after = {"scene": (64, 64, 200), "shape": (32, 128, 100), "forget": (64, 64, 100)}[cut]
    segmenter.segment(make_frame("gbrp", after[:2], fill=(after[2],) * 3))
    segmenter.segment(make_frame("gbrp", after[:2], fill=(after[2],) * 3))
    assert not backend.remembered[1].any()
    assert backend.remembered[2].any()


def test_the_padding_is_remembered_as_well(make_frame) -> None:
    backend = Bright()
    segmenter = Segmenter(backend)
    for _ in range(2):
        segmenter.segment(make_frame("gbrp", (40, 320), fill=(200,) * 3))
    assert backend.remembered[1].shape[1:3] == backend.fitted[-1]


def test_the_engine_gets_the_matte_before(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx, of requirements-dev.txt, is not installed")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [
            make.make_node("ReduceMean", ["image"], ["mean"], axes=[3], keepdims=1),
            make.make_node("Sum", ["mean", "previous"], ["alpha"]),
        ],
        "counting",
        [
            make.make_tensor_value_info("image", kind, [1, 64, 64, 3]),
            make.make_tensor_value_info("previous", kind, [1, 64, 64, 1]),
        ],
        [make.make_tensor_value_info("alpha", kind, [1, 64, 64, 1])],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "sum.onnx")
    backend = open_backend(tmp_path / "sum.onnx")
    for shown_hw in ((9.0, 16.0), (1.0, 1.0)):
        input_hw = backend.fit(shown_hw)
        image = np.full((1, *input_hw, 3), 7, np.float32)
        previous = np.random.default_rng(0).random((1, *input_hw, 1), np.float32)
        assert backend.infer(image, previous) == pytest.approx(7 + previous, abs=1e-5)
    backend.close()


# What is not to be trusted


class Fails(Bright):
    """An engine that answers what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[float | Exception] = []

    def infer(self, image: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """One answer after the other, then the brightness."""
        alpha = super().infer(image, previous)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            alpha[0, 3, 5] = answer
        return alpha


def test_a_stand_in_has_no_matte_and_nothing_follows_it(make_frame) -> None:
    backend = Bright()
    segmenter, frame = Segmenter(backend), make_frame("gbrp", (64, 64), fill=(99,) * 3)
    assert segmenter.segment(frame) is not None
    assert segmenter.segment(replace(frame, stand_in="")) is None
    segmenter.segment(frame)
    assert len(backend.remembered) == 2 and not backend.remembered[-1].any()


@pytest.mark.parametrize("answer", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_no_number_is_an_error(make_frame, answer) -> None:
    backend = Fails()
    segmenter, frame = Segmenter(backend), make_frame("gbrp", (64, 64), fill=(99,) * 3)
    backend.answers = [answer]
    with pytest.raises(StreamError, match="no number"):
        segmenter.segment(frame)
    segmenter.segment(frame)
    assert not backend.remembered[-1].any(), "the bad answer is not looked back at"


@pytest.mark.parametrize("answer", [np.nan, RuntimeError("out of memory")])
def test_a_call_survives_an_engine_that_fails(make_frame, answer, caplog) -> None:
    backend = Fails()
    segmenter, frame = CautiousSegmenter(backend), make_frame("gbrp", (64, 64), fill=(99,) * 3)
    mattes = [segmenter.segment(frame) for _ in range(3)]
    assert [matte is None for matte in mattes] == [True, False, False], "the first is not shown"
    backend.answers = [answer, answer]
    assert segmenter.segment(frame) is None and segmenter.failure
    assert segmenter.segment(frame) is None
    assert len(caplog.records) == 1, "told once"
    assert segmenter.segment(frame) is None, "it follows nothing"
    assert segmenter.segment(frame) is not None and segmenter.failure is None


def test_a_call_does_not_show_the_first_frame_after_a_cut(make_frame) -> None:
    segmenter = CautiousSegmenter(Bright())
    shown = [
        segmenter.segment(make_frame("gbrp", (64, 64), fill=(value,) * 3)) is not None
        for value in (50, 52, 54, 200, 202, 204)
    ]
    assert shown == [False, True, True, False, True, True]


# The engine


@pytest.mark.parametrize("contents", [b"", b"not a network\n" * 9, bytes(range(256)) * 20])
def test_a_broken_network_is_named(tmp_path: Path, contents: bytes) -> None:
    network = tmp_path / "broken.onnx"
    network.write_bytes(contents)
    with pytest.raises(StreamError, match=r"broken\.onnx") as error:
        open_backend(network)
    assert "\n" not in str(error.value)


def test_a_network_cut_short_is_named(tmp_path: Path, bright_network: Path) -> None:
    network = tmp_path / "short.onnx"
    network.write_bytes(bright_network.read_bytes()[:-40])
    with pytest.raises(StreamError, match=r"short\.onnx"):
        open_backend(network).fit((64.0, 64.0))


def test_a_missing_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r"none\.onnx"):
        open_backend(tmp_path / "none.onnx")
    with pytest.raises(StreamError, match="network"):
        open_backend(tmp_path)


def network_of(path: Path, image: str, alpha: str, shape: list[int | str]) -> Path:
    """An identity under these names."""
    onnx = pytest.importorskip("onnx", reason="onnx, of requirements-dev.txt, is not installed")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [make.make_node("Identity", [image], [alpha])],
        "identity",
        [make.make_tensor_value_info(image, kind, shape)],
        [make.make_tensor_value_info(alpha, kind, shape)],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("image", "shape"), [("picture", [1, 64, 64, 3]), ("image", [4]), ("image", [1, "h", "w", 3])]
)
def test_somebody_elses_network_is_refused(tmp_path: Path, image: str, shape: list) -> None:
    network = network_of(tmp_path / "other.onnx", image, "alpha", shape)
    with pytest.raises(StreamError, match=r"other\.onnx"):
        open_backend(network).fit((64.0, 64.0))


def test_a_network_that_cannot_be_reshaped_runs_at_its_own_size(bright_network, tmp_path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx, of requirements-dev.txt, is not installed")
    model = onnx.load(bright_network)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[1].dim_value = 50
    onnx.save(model, tmp_path / "odd.onnx")
    backend = open_backend(tmp_path / "odd.onnx")
    assert backend.fit((720.0, 1280.0)) == (50, 64)
    backend.close()


def test_close_twice_is_fine(bright_network: Path) -> None:
    backend = open_backend(bright_network)
    backend.fit((64.0, 64.0))
    backend.close()
    backend.close()


def test_the_report_can_name_the_engine(bright_network: Path) -> None:
    backend = open_backend(bright_network)
    assert "\n" not in backend.name and len(backend.name.split(",")) >= 3  # engine, type, device
    backend.close()
