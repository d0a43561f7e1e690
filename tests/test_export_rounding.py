"""Weights in 8 bits: every kernel keeps its sum."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="requirements-train.txt is not installed")

import onnx
from onnx import numpy_helper

from export.ort import OnnxRuntime
from export.rounding import evenly, round_weights, steps_of
from export.to_int8 import int8_from_onnx

FLOAT, HW = onnx.TensorProto.FLOAT, (32, 32)


def test_rows_keep_their_sums_and_no_number_moves_by_one() -> None:
    rows = np.random.default_rng(0).uniform(-127, 127, (500, 9))
    rounded = evenly(rows)
    assert np.array_equal(rounded, np.trunc(rounded))
    assert np.abs(rounded - rows).max() < 1
    assert np.abs(rounded.sum(1) - rows.sum(1)).max() <= 0.5
    plain = np.round(rows)
    assert np.abs(plain.sum(1) - rows.sum(1)).max() > 1  # or there would be nothing to keep
    assert np.abs(rounded - plain).max() == 1


def test_what_is_whole_already_stays() -> None:
    rows = np.random.default_rng(1).integers(-127, 128, (50, 9)).astype(np.float32)
    assert np.array_equal(evenly(rows), rows)


def network(path: Path, weight: np.ndarray) -> Path:
    """A depthwise convolution over an image of as many channels, as a network with an alpha."""
    make, channels = onnx.helper, len(weight)
    ones = np.full((1, channels, 1, 1), 1 / channels, np.float32)
    nodes = [
        make.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        make.make_node("Conv", ["planes", "w"], ["a"], group=channels, pads=[1, 1, 1, 1]),
        make.make_node("Conv", ["a", "sum"], ["b"]),
        make.make_node("Transpose", ["b"], ["alpha"], perm=[0, 2, 3, 1]),
    ]
    image = make.make_tensor_value_info("image", FLOAT, [1, *HW, channels])
    alpha = make.make_tensor_value_info("alpha", FLOAT, [1, *HW, 1])
    given = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(ones, "sum")]
    graph = make.make_graph(nodes, "depthwise", [image], [alpha], given)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def test_quantization_keeps_the_weights_as_they_were_rounded(tmp_path: Path) -> None:
    weight = np.random.default_rng(2).normal(size=(3, 1, 3, 3)).astype(np.float32)
    whole = onnx.load(network(tmp_path / "whole.onnx", weight))
    steps = round_weights(whole.graph)["w"]
    wanted = numpy_helper.to_array(whole.graph.initializer[0])
    image = np.random.default_rng(3).uniform(0, 255, (1, *HW, 3)).astype(np.float32)
    int8_from_onnx(tmp_path / "whole.onnx", tmp_path / "int8.onnx", [{"image": image}])
    values = [
        numpy_helper.to_array(each) for each in onnx.load(tmp_path / "int8.onnx").graph.initializer
    ]
    (got,) = (each for each in values if each.dtype == np.int8 and each.shape == weight.shape)
    width = np.array([each["scale"] for each in steps])[:, None, None, None]
    np.testing.assert_allclose(got * width, wanted, atol=1e-6)
    assert np.abs(np.round(weight / width) - got).max() == 1  # each rounded for itself is another


@pytest.mark.parametrize("shape", [(400, 6, 1, 1), (400, 3, 3, 3)])
def test_two_channels_never_overflow_sixteen_bits(shape: tuple[int, ...]) -> None:
    weight = np.random.default_rng(6).normal(size=shape).astype(np.float32)
    single = np.abs(weight).max((1, 2, 3), keepdims=True) / 127

    def most(step: np.ndarray) -> float:
        rounded = evenly((weight / step).reshape(-1, shape[2] * shape[3])).reshape(shape)
        rounded = np.pad(rounded, ((0, 0), (0, shape[1] % 2), (0, 0), (0, 0)))
        sides = [np.maximum(side, 0) for side in (rounded, -rounded)]
        return max((side[:, 0::2] + side[:, 1::2]).max() * 255 for side in sides)

    assert most(steps_of(weight)[:, None, None, None]) <= np.iinfo(np.int16).max < most(single)


def test_an_even_surface_looks_as_it_does_in_32_bits(tmp_path: Path, monkeypatch) -> None:
    weight = np.full((3, 1, 3, 3), -15.45 / 127, np.float32)  # rounded up, all eight of them
    weight[:, :, 1, 1] = 1
    whole = network(tmp_path / "whole.onnx", weight)
    noise = np.random.default_rng(5).uniform(0, 255, (1, *HW, 3)).astype(np.float32)
    even = np.full_like(noise, 200)

    def off_by(name: str) -> float:
        int8_from_onnx(whole, tmp_path / name, [{"image": noise}])
        answers = [OnnxRuntime(each).infer(even, even) for each in (whole, tmp_path / name)]
        return float(np.abs(answers[1] - answers[0])[0, 2:-2, 2:-2].mean())

    kept = off_by("kept.onnx")
    monkeypatch.setattr("export.to_int8.round_weights", lambda graph: {})
    assert kept < 0.3 * off_by("each for itself.onnx")
