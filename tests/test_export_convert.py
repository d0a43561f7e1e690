"""A .keras file becomes ONNX, engine and card, and each engine is held to Keras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="requirements-train.txt is not installed")
pytest.importorskip("onnxruntime", reason="requirements-train.txt is not installed")

import onnx

import run
from export import ExportError, convert
from export.config import ExportConfig
from export.convert import NOT_RUN, Held, check
from export.ort import OnnxRuntime
from export.to_fp16 import fp16_from_onnx
from export.to_int8 import FOR_TENSORRT, int8_from_onnx
from stream.backends import BackendUnavailable, open_backend
from stream.backends.nvidia import GpuCard, has_driver
from stream.backends.trial import MOST_APART, probe
from stream.networks import MODELS

# Keras's converter looks for a name that NumPy no longer has.
pytestmark = pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")

KINDS, SIZE_HW = onnx.TensorProto, (64, 64)
SMALL = ("--height", "64", "--width", "64")


@pytest.fixture(scope="module")
def fp32(tiny_onnx) -> Path:
    return tiny_onnx


@pytest.fixture(scope="module")
def fp16(fp32) -> Path:
    target = fp32.with_suffix(".fp16.onnx")
    fp16_from_onnx(fp32, target)
    return target


@pytest.fixture(scope="module")
def signed(fp32) -> Path:
    target = fp32.with_suffix(".signed.onnx")
    frame = dict(zip(("image", "previous"), probe(SIZE_HW), strict=True))
    int8_from_onnx(fp32, target, [frame], FOR_TENSORRT)
    return target


def contract(network: Path) -> dict[str, tuple[list[int], int]]:
    graph = onnx.load(network).graph
    return {
        value.name: (
            [each.dim_value for each in value.type.tensor_type.shape.dim],
            value.type.tensor_type.elem_type,
        )
        for value in (*graph.input, *graph.output)
    }


def test_the_contract_holds_in_every_precision(fp32, fp16, signed) -> None:
    assert contract(fp16) == contract(fp32) == contract(signed)
    assert {kind for _, kind in contract(fp32).values()} == {KINDS.FLOAT}


def test_fp16_has_half_the_weights_and_exact_colors(fp32, fp16) -> None:
    graph = onnx.load(fp16).graph
    kinds = {weight.name: weight.data_type for weight in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert len(convolutions) > 30
    assert {kinds[node.input[1]] for node in convolutions} == {KINDS.FLOAT16}
    first = next(node for node in graph.node if "image" in node.input)
    assert first.op_type == "Mul" and kinds[first.input[1]] == KINDS.FLOAT
    casts = [node for node in graph.node if node.op_type == "Cast"]
    assert len(casts) == 3  # after the scaling, of the matte before, and before the sigmoid
    assert not {node.input[0] for node in casts} & {"image"}
    assert fp16.stat().st_size < 0.6 * fp32.stat().st_size


def test_signed_eight_bits_have_no_zero_points_and_exact_colors(signed) -> None:
    graph = onnx.load(signed).graph
    values = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    nodes = [node for node in graph.node if "QuantizeLinear" in node.op_type or "Deq" in node.name]
    assert len(nodes) > 60
    for node in nodes:
        zero = values[node.input[2]]
        assert zero.dtype == np.int8 and not zero.any()
    assert next(node for node in graph.node if "image" in node.input).op_type == "Mul"


COMPARED = """
import sys
from pathlib import Path
import numpy as np
from export.ort import OnnxRuntime
from stream.backends import open_backend
from stream.backends.trial import probe
app, other = (opened(Path(sys.argv[1])) for opened in (open_backend, OnnxRuntime))
size_hw = other.fit((9, 16))
assert app.fit(size_hw) == size_hw
for shown in (probe(size_hw, seed) for seed in range(4)):
    print(np.abs(app.infer(*shown) - other.infer(*shown)).mean())
"""


@pytest.mark.parametrize("name", ["person", "person-small"])
def test_the_app_computes_signed_eight_bits_as_onnx_runtime_does(tmp_path, name) -> None:
    fp32, target = MODELS / f"{name}.onnx", tmp_path / f"{name}.int8.onnx"
    shown = [probe(OnnxRuntime(fp32).fit((9, 16)), seed) for seed in range(4)]
    seen = [dict(zip(("image", "previous"), each, strict=True)) for each in shown]
    int8_from_onnx(fp32, target, seen, FOR_TENSORRT)
    for limit in ({}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}):  # without VNNI: sums of two in 16 bits
        words = [sys.executable, "-c", COMPARED, str(target)]
        told = subprocess.check_output(words, env=os.environ | limit, cwd=MODELS.parent, text=True)
        assert max(map(float, told.split())) < MOST_APART / 2


@pytest.mark.parametrize("kind", ["fp16", "signed"])
@pytest.mark.parametrize("shown_hw", [(1, 1), (9, 16)])
def test_it_computes_nearly_the_same_at_every_size(fp32, kind, shown_hw, request) -> None:
    backends = [open_backend(network) for network in (fp32, request.getfixturevalue(kind))]
    image, previous = probe(backends[0].fit(shown_hw))
    backends[1].fit(shown_hw)
    one, two = (backend.infer(image, previous).copy() for backend in backends)
    assert one.std() > 0.01
    most = 0.001 if kind == "fp16" else 0.1 * one.std() + 0.01
    assert 0 < np.abs(one - two).mean() < most
    for backend in backends:
        backend.close()


def test_the_same_network_gives_the_same_file(fp32, fp16, tmp_path) -> None:
    fp16_from_onnx(fp32, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == fp16.read_bytes()


def test_onnx_runtime_takes_networks_that_do_not_look_back(bright_network) -> None:
    backend = OnnxRuntime(bright_network)
    image, previous = probe(backend.fit((9, 16)))
    alpha = backend.infer(image, previous)
    np.testing.assert_allclose(alpha[..., 0], image.mean(-1) / 255, atol=1e-5)


@pytest.mark.skipif(has_driver(), reason="is about machines without NVIDIA's driver")
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_command_makes_network_and_card_without_a_gpu(
    precision, tiny_network, tiny_onnx, people, tmp_path, capsys, monkeypatch
) -> None:
    def converted(network: Path, target: Path, size_hw: tuple[int, int]) -> None:
        target.write_bytes(tiny_onnx.read_bytes())  # test_export_main.py has the real conversion

    monkeypatch.setattr("export.convert.onnx_from_keras", converted)
    words = ["export", str(tiny_network), str(tmp_path / "out"), "--precision", precision, *SMALL]
    if precision == "int8":
        words += ["--data", str(people), "--calibration-pictures", "2", "--int8-loss", "1"]
    assert run.main(words) == 0
    suffix = "" if precision == "fp32" else f".{precision}"
    network = tmp_path / "out" / f"tiny{suffix}.onnx"
    card = json.loads(network.with_suffix(".json").read_text())
    assert card["precision"] == precision and network.is_file()
    assert card["made of"]["file"] == "tiny.keras"
    engines = [row["engine"] for row in card["parity"]]
    assert [name.split()[0] for name in engines] == ["Keras", "OpenVINO", "ONNX", "TensorRT,"]
    assert engines[-1].endswith(NOT_RUN) and card["parity"][-1]["largest"] is None
    lost = [row["iou_lost"] for row in card["parity"][:-1]]
    assert all((each is not None) == (precision == "int8") for each in lost)
    assert card["engine"].startswith(("not made: neither", "made by TensorRT-RTX"))
    assert str(tmp_path) not in json.dumps(card)
    printed = " ".join(capsys.readouterr().out.split())
    assert "not run: no GPU" in printed and "IoU lost" in printed
    assert "compared on 6 frames" in printed or "compared on 16 test patterns" in printed


def test_a_gpu_that_does_not_serve_is_told_and_is_no_failure(fp32, monkeypatch) -> None:
    def refused(network: Path) -> None:
        raise BackendUnavailable("neither package is installed", "pip install it")

    monkeypatch.setattr("stream.backends.trt.TensorRt", refused)
    row = convert._on_gpu(fp32, [], SIZE_HW, GpuCard("RTX 4070", (8, 9), ""))
    assert (
        row.engine == "TensorRT, tiny.onnx: not run: neither package is installed: pip install it"
    )


def test_what_is_too_far_from_keras_is_named_with_its_frame() -> None:
    config = ExportConfig(Path("a.keras"), Path("out"), precision="fp32")
    far = Held("OpenVINO", largest=0.5, mean=0.1, iou_lost=0.0, worst="people-7.png")
    with pytest.raises(ExportError, match=r"differs from Keras by 0\.5.*worst is people-7.png"):
        check([far], config)
    config = ExportConfig(Path("a.keras"), Path("out"), precision="fp16")
    check([far], config)
    lost = Held("OpenVINO", largest=0.5, mean=0.1, iou_lost=0.02, worst="people-7.png")
    with pytest.raises(ExportError, match=r"loses, .* 0\.02, more than 0\.005; worst is people-7"):
        check([lost], config)
    check([Held("TensorRT: not run: no GPU")], config)


def test_what_is_too_far_from_keras_replaces_nothing(
    tiny_network, tiny_onnx, tmp_path, monkeypatch, capsys
) -> None:
    def converted(network: Path, target: Path, size_hw: tuple[int, int]) -> None:
        target.write_bytes(tiny_onnx.read_bytes())

    monkeypatch.setattr("export.convert.onnx_from_keras", converted)
    (tmp_path / "tiny.onnx").write_bytes(b"good")
    words = ["export", str(tiny_network), str(tmp_path), "--precision", "fp32", *SMALL]
    assert run.main([*words, "--tolerance", "1e-12"]) == 1
    assert "do not ship it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.onnx"]
    assert (tmp_path / "tiny.onnx").read_bytes() == b"good"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.keras"], "cannot tell where to put what becomes of a.keras: give OUT_DIR"),
        (["runs/a", "out"], "OUT_DIR goes with a .keras file"),
        (["a.keras", "out", "--precision", "int8"], "calibrated on real frames: give --data"),
        (["a.keras", "out", "--parity-pictures", "0"], "parity_pictures 0: at least 1"),
        (["a.keras", "out"], "cannot open network a.keras"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(words, message, capsys) -> None:
    assert run.main(["export", *words]) == 1
    said = capsys.readouterr().err
    assert message in said and said.startswith("run.py: ")


def test_data_without_pictures_is_named(tiny_network, tmp_path, capsys) -> None:
    words = [str(tiny_network), str(tmp_path / "out"), *SMALL, "--data", str(tmp_path)]
    assert run.main(["export", *words, "--precision", "fp32"]) == 1
    assert "nothing to compare on in" in capsys.readouterr().err
