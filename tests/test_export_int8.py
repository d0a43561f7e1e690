"""Eight bits: the file keeps the contract, and computes nearly what 32 bits compute."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="requirements-train.txt is not installed")
pytest.importorskip("onnxruntime", reason="requirements-train.txt is not installed")

import onnx

from export import ExportError
from export.to_int8 import int8_from_onnx
from stream.backends import open_backend
from stream.backends.trial import probe

# Keras's converter looks for a name that NumPy no longer has.
pytestmark = pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")

SIZE_HW = (64, 64)


def inputs(size_hw: tuple[int, int] = SIZE_HW) -> dict[str, np.ndarray]:
    return dict(zip(("image", "previous"), probe(size_hw), strict=True))


@pytest.fixture(scope="module")
def fp32(tiny_onnx) -> Path:
    return tiny_onnx


@pytest.fixture(scope="module")
def int8(fp32) -> Path:
    target = fp32.with_suffix(".int8.onnx")
    int8_from_onnx(fp32, target, [inputs()])
    return target


def test_the_contract_holds(fp32, int8):
    shapes = [
        {
            value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
            for value in (*proto.graph.input, *proto.graph.output)
        }
        for proto in (onnx.load(fp32), onnx.load(int8))
    ]
    assert shapes[0] == shapes[1]


def test_convolutions_have_eight_bit_weights(int8):
    graph = onnx.load(int8).graph
    kinds = {weight.name: weight.data_type for weight in graph.initializer}
    source = {node.output[0]: node for node in graph.node}
    convolutions = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert len(convolutions) > 30
    for node in convolutions:
        assert source[node.input[1]].op_type == "DequantizeLinear"
        assert kinds[source[node.input[1]].input[0]] == onnx.TensorProto.INT8
        fed_by = source[node.input[0]]
        if fed_by.op_type == "Transpose":
            fed_by = source[fed_by.input[0]]
        assert fed_by.op_type == "DequantizeLinear"


@pytest.mark.parametrize("shown_hw", [(1, 1), (9, 16)])
def test_it_computes_nearly_the_same_at_every_size(fp32, int8, shown_hw):
    backends = [open_backend(network) for network in (fp32, int8)]
    image, previous = probe(backends[0].fit(shown_hw))
    backends[1].fit(shown_hw)
    one, two = (backend.infer(image, previous).copy() for backend in backends)
    assert one.std() > 0.01
    assert 1e-6 < np.abs(one - two).mean() < 0.1 * one.std() + 0.01
    for backend in backends:
        backend.close()


def test_the_same_frames_give_the_same_file(fp32, int8, tmp_path):
    int8_from_onnx(fp32, tmp_path / "again.onnx", [inputs()])
    assert (tmp_path / "again.onnx").read_bytes() == int8.read_bytes()


def test_a_failed_write_leaves_nothing_behind(fp32, tmp_path, monkeypatch):
    def full(proto, path):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("export.to_int8.onnx.save", full)
    with pytest.raises(ExportError, match=r"cannot write .*tiny.int8.onnx: .*No space left"):
        int8_from_onnx(fp32, tmp_path / "tiny.int8.onnx", [inputs()])
    assert list(tmp_path.iterdir()) == []
