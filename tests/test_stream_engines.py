"""TensorRT-RTX really reads and builds the networks; it needs no GPU for that."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip(
    "tensorrt_rtx", reason="tensorrt-rtx, of requirements-gpu.txt, is not installed"
)
pytest.importorskip("onnx", reason="onnx, of requirements-dev.txt, is not installed")

import onnx

from stream.backends import BackendUnavailable, engine_builder
from stream.backends.engine_builder import Said, build, parse
from stream.backends.engines import Engines
from stream.backends.flavor import PACKAGES, Flavor, load
from stream.backends.nvidia import GpuCard, has_driver
from stream.networks import MODELS

FLOAT, HW = onnx.TensorProto.FLOAT, (64, 96)
ADA = GpuCard("RTX 4070", (8, 9), "590.44, CUDA 13.1")


@pytest.fixture(scope="module")
def flavor() -> Flavor:
    taken = load()
    if taken.name != PACKAGES["tensorrt_rtx"]:
        pytest.skip("tensorrt is installed, which is taken before tensorrt-rtx")
    return taken


def save(path: Path, nodes: list, *, channels: int = 3, outputs: tuple[str, ...] = ("alpha",)):
    make = onnx.helper
    values = [make.make_tensor_value_info(name, FLOAT, [1, *HW, 1]) for name in outputs]
    image = make.make_tensor_value_info("image", FLOAT, [1, *HW, channels])
    graph = make.make_graph(nodes, "test", [image], values)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def node(kind: str, *names: str, **attributes: object):
    return onnx.helper.make_node(kind, list(names[:-1]), [names[-1]], name=kind, **attributes)


@pytest.mark.parametrize("name", ["person", "person-small"])
@pytest.mark.parametrize(("suffix", "precision"), [(".onnx", "fp32"), (".fp16.onnx", "fp16")])
def test_every_shipped_network_builds_at_another_size(
    flavor, tmp_path, name, suffix, precision
) -> None:
    engines = Engines(MODELS / f"{name}{suffix}", flavor, None, tmp_path)
    assert engines.facts.precision == precision
    assert engines.facts.looks_back
    key, engine, is_old = engines.engine((96, 160))
    assert len(engine) > 1_000_000 and not is_old
    assert engines.engine((96, 160)) == (key, engine, True)
    card = json.loads((tmp_path / key.file_name).with_suffix(".json").read_text())
    assert card["precision"] == precision
    assert card["made by"].startswith("TensorRT-RTX 1")
    assert card["capabilities"] == "8.0 and later"


@pytest.mark.parametrize("name", ["person.fp16.onnx", "person-small.onnx"])
def test_a_shipped_network_builds_for_batches(flavor, tmp_path, name) -> None:
    engines = Engines(MODELS / name, flavor, None, tmp_path, batch=8)
    key, engine, is_old = engines.engine((96, 160))
    assert len(engine) > 1_000_000 and not is_old and key.batch == 8
    card = json.loads((tmp_path / key.file_name).with_suffix(".json").read_text())
    assert card["input"] == "1 to 8 of 96×160"
    assert Engines(MODELS / name, flavor, None, tmp_path).engine((96, 160))[2] is False


def test_signed_eight_bits_build(flavor, tmp_path) -> None:
    pytest.importorskip("tensorflow", reason="requirements-train.txt is not installed")
    from export.to_int8 import FOR_TENSORRT, int8_from_onnx

    rng = np.random.default_rng(0)
    frame = {"image": rng.uniform(0, 255, (1, 128, 224, 3)), "previous": np.zeros((1, 128, 224, 1))}
    seen = {name: values.astype(np.float32) for name, values in frame.items()}
    target = tmp_path / "small.int8.onnx"
    int8_from_onnx(MODELS / "person-small.onnx", target, [seen], FOR_TENSORRT)
    engines = Engines(target, flavor, None, tmp_path)
    assert engines.facts.precision == "int8"
    assert len(engines.engine((96, 160))[1]) > 1_000_000


def test_unsigned_eight_bits_are_refused_with_the_way_out(flavor) -> None:
    with pytest.raises(BackendUnavailable, match=r"DequantizeLinear .*UINT8.*--precision fp16"):
        parse(MODELS / "person.int8.onnx", flavor)


def test_an_operator_that_it_does_not_know_is_named(flavor, tmp_path) -> None:
    nodes = [
        node("ReduceMean", "image", "mean", axes=[3]),
        node("Bernoulli", "mean", "alpha"),
    ]
    with pytest.raises(BackendUnavailable, match=r"refuses .*odd.onnx: Bernoulli"):
        parse(save(tmp_path / "odd.onnx", nodes), flavor)


def test_what_is_no_network_is_refused(flavor, tmp_path) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(BackendUnavailable, match=r"refuses .*text.onnx: .*Failed to parse"):
        parse(tmp_path / "text.onnx", flavor)


@pytest.mark.parametrize("shape", ["channels", "output"])
def test_another_contract_is_refused(flavor, tmp_path, shape) -> None:
    channels, output = (4, "alpha") if shape == "channels" else (3, "mask")
    nodes = [node("ReduceMean", "image", output, axes=[3])]
    path = save(tmp_path / "x.onnx", nodes, channels=channels, outputs=(output,))
    with pytest.raises(BackendUnavailable, match=r"x.onnx takes .*image.* gives .*expected is"):
        parse(path, flavor)


def test_a_network_of_one_size_is_refused_at_another(flavor, tmp_path) -> None:
    constant = onnx.helper.make_tensor("nail", FLOAT, [1, *HW, 1], np.ones(HW[0] * HW[1]))
    nodes = [
        onnx.helper.make_node("Constant", [], ["nail"], value=constant),
        node("ReduceMean", "image", "mean", axes=[3]),
        node("Add", "mean", "nail", "alpha"),
    ]
    parsed = parse(save(tmp_path / "nailed.onnx", nodes), flavor)
    with pytest.raises(BackendUnavailable, match=r"nailed to one size: at input \(1, 96, 160\)"):
        build(parsed, (1, 96, 160), flavor, None, b"")


@pytest.mark.parametrize(
    ("card", "capabilities"),
    [
        (ADA, ["8.9", "8.0 and later"]),
        (GpuCard("RTX 2080", (7, 5), ""), ["7.5"]),  # a portable engine leaves Turing out
        (GpuCard("H100", (9, 0), ""), ["8.0 and later"]),
        (None, ["8.0 and later"]),
    ],
)
def test_engines_are_for_generations(flavor, card, capabilities) -> None:
    if card is not None:
        flavor.check(card)
    assert [bound["capabilities"] for bound in flavor.bounds(card)] == capabilities


def test_a_card_that_is_too_old_is_refused(flavor) -> None:
    with pytest.raises(
        BackendUnavailable, match=r"does not serve the GTX 1080, of capability 6\.1"
    ):
        flavor.check(GpuCard("GTX 1080", (6, 1), ""))


def test_an_engine_beside_the_network_is_taken_before_one_is_built(flavor, tmp_path) -> None:
    network = tmp_path / "out" / "person-small.onnx"
    network.parent.mkdir()
    network.write_bytes((MODELS / "person-small.onnx").read_bytes())
    key, portable, _ = Engines(network, flavor, None, network.parent).engine((96, 160))
    there = Engines(network, flavor, ADA, tmp_path / "cache")
    assert there.engine((96, 160)) == (key, portable, True)
    assert not (tmp_path / "cache").exists()


def test_a_corrupt_engine_is_built_again(flavor, tmp_path, caplog) -> None:
    engines = Engines(MODELS / "person-small.fp16.onnx", flavor, ADA, tmp_path)
    key, engine, _ = engines.engine((64, 64))
    (tmp_path / key.file_name).write_bytes(engine[:-100])
    with caplog.at_level(logging.INFO):
        _, again, is_old = engines.engine((64, 64))
    assert not is_old and len(again) == pytest.approx(len(engine), rel=0.1)
    assert "built again: it is damaged" in caplog.text
    assert "building the engine of" in caplog.text and "RTX 4070" in caplog.text


@pytest.mark.skipif(has_driver(), reason="is about machines without NVIDIA's driver")
def test_loading_without_a_driver_says_so(flavor) -> None:
    parsed = parse(MODELS / "person-small.fp16.onnx", flavor)
    engine = build(parsed, (1, 64, 64), flavor, None, b"").engine
    said = Said(flavor)
    runtime = flavor.module.Runtime(said.logger)
    with pytest.raises(BackendUnavailable, match=r"cannot load it: .*the driver is too old"):
        said.made("load it", lambda: runtime.deserialize_cuda_engine(engine))


def test_what_tensorrt_says_is_bounded(flavor) -> None:
    said = Said(flavor)
    for number in range(3 * engine_builder._KEPT_LINES):
        said.logger.log(flavor.module.ILogger.Severity.ERROR, f"line {number}")
    said.logger.log(flavor.module.ILogger.Severity.INFO, "all is well")
    assert len(said.lines) == engine_builder._KEPT_LINES
    assert said.lines[-1] == f"line {3 * engine_builder._KEPT_LINES - 1}"
