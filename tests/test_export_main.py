"""From a finished run to files in models/: converted, proven equal, scored, described."""

import json
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="requirements-train.txt is not installed")
pytest.importorskip("onnx", reason="requirements-train.txt is not installed")

import keras
import onnx

from export import ExportError, main
from export.card import UNSTATED
from export.config import ExportConfig
from export.parity import compare
from export.to_onnx import OPSET, number_by_place, onnx_from_keras, open_keras
from stream.backends import open_backend
from stream.backends.trial import probe

# Keras's converter looks for a name that NumPy no longer has.
pytestmark = pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")

SIZE_HW = (64, 64)


@pytest.fixture(scope="module")
def network(tiny_network) -> Path:
    return tiny_network


@pytest.fixture(scope="module")
def exported(tiny_onnx) -> Path:
    return tiny_onnx


def test_the_file_keeps_the_contract(exported):
    proto = onnx.load(exported)
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*proto.graph.input, *proto.graph.output)
    }
    assert shapes == {
        "image": [1, *SIZE_HW, 3],
        "previous": [1, *SIZE_HW, 1],
        "alpha": [1, *SIZE_HW, 1],
    }
    assert {(i.domain, i.version) for i in proto.opset_import} >= {("", OPSET)}
    assert not [n for n in proto.graph.node if n.op_type == "Reshape"]


def test_names_do_not_depend_on_the_converters_numbering(exported):
    proto, other = onnx.load(exported), onnx.load(exported)
    inner = {name for node in other.graph.node for name in (*node.input, *node.output)}
    kept = {"image", "previous", "alpha", ""}  # the last is an input that is left out
    strange = {name: f"z{hash(name)}" for name in inner - kept}
    for node in other.graph.node:
        node.input[:] = [strange.get(name, name) for name in node.input]
        node.output[:] = [strange.get(name, name) for name in node.output]
    for weight in other.graph.initializer:
        weight.name = strange[weight.name]
    weights = list(other.graph.initializer)[::-1]
    other.graph.ClearField("initializer")
    other.graph.initializer.extend(weights)
    number_by_place(other.graph)
    assert other.SerializeToString() == proto.SerializeToString()


def test_each_doubling_of_pixels_is_one_node(network, exported):
    layers = open_keras(network).layers
    doublings = [layer for layer in layers if isinstance(layer, keras.layers.UpSampling2D)]
    nodes = onnx.load(exported).graph.node
    resizes = [node for node in nodes if node.op_type == "Resize"]
    assert len(resizes) == len(doublings) > 0
    assert not {"Tile", "Unsqueeze"} & {node.op_type for node in nodes}


@pytest.mark.parametrize("shown_hw", [(1, 1), (9, 16), (16, 9), (3, 4), (1, 3)])
def test_reshaped_it_still_computes_what_keras_computes(network, exported, shown_hw):
    backend = open_backend(exported)
    image, previous = probe(backend.fit(shown_hw))
    wanted = np.asarray(open_keras(network)({"image": image, "previous": previous}))
    got = backend.infer(image, previous)
    assert got.shape == (*image.shape[:3], 1)
    assert wanted.std() > 0.01  # or agreeing would mean little
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    backend.close()


def test_a_difference_above_the_tolerance_is_an_error(network, exported):
    model = open_keras(network)
    rows = compare(model, exported, tolerance=1e-4)
    assert {row.input_hw for row in rows} >= {SIZE_HW}
    with pytest.raises(ExportError, match=r"differs from Keras by .* more than 1e-12"):
        compare(model, exported, tolerance=1e-12)
    bias = model.get_layer("logits").weights[1]
    bias.assign(bias + 1.0)
    with pytest.raises(ExportError, match="do not ship"):
        compare(model, exported, tolerance=1e-4)


class FullDisk:
    """A network whose conversion fills the disk half way."""

    def export(self, target: Path, **_) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("export.to_onnx.open_keras", lambda _: FullDisk())
    with pytest.raises(ExportError, match="No space left on device"):
        onnx_from_keras(tmp_path / "x.keras", tmp_path / "x.onnx", SIZE_HW)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_network_is_named(tmp_path):
    (tmp_path / "x.keras").write_text("no network")
    with pytest.raises(ExportError, match=r"cannot open network .*x.keras"):
        open_keras(tmp_path / "x.keras")


@pytest.fixture
def run(network, tmp_path) -> Path:
    """What a training run leaves, with one picture to judge on."""
    folder, val = tmp_path / "run", tmp_path / "data" / "people" / "val"
    folder.mkdir()
    for split in (val, val.with_name("train")):
        for part in ("images", "masks"):
            (split / part).mkdir(parents=True)
        cv2.imwrite(str(split / "images" / "voc_person-1.png"), np.full((40, 60, 3), 90, np.uint8))
        cv2.imwrite(str(split / "masks" / "voc_person-1.png"), np.full((40, 60), 255, np.uint8))
    (folder / "network.keras").write_bytes(network.read_bytes())
    config = {"data": str(tmp_path / "data"), "run": str(folder), "steps": 200, "batch": 16}
    config |= {"detector": str(tmp_path / "lite0.tflite")}
    record = {
        "config": config,
        "stretches": [{"from_step": 0, "planned_steps": 200, "commit": "abc"}],
        "keras": keras.__version__,
        "backend": "tensorflow",
        "pictures": {"coco/train2017": 2, "people/train/friends": 3},
        "network_came_from": {
            "steps": 7,
            "config": {"data": str(tmp_path), "network": str(tmp_path / "zero.keras")},
            "network_came_from": {"steps": 5, "config": {"run": str(tmp_path)}},
        },
    }
    (folder / "config.json").write_text(json.dumps(record))
    lines = [{"step": 100, "seconds": 1800.0}, {"step": 200, "seconds": 1800.0}]
    (folder / "curves.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder


def test_shipping_writes_network_and_card(run, tmp_path):
    config = ExportConfig(
        run,
        models=tmp_path / "models",
        height=64,
        width=64,
        calibration_pictures=1,
        int8_loss=1.0,
        blend=(run / "network.keras",),
    )
    shipped = main.main(config)
    assert shipped == tmp_path / "models" / "person.onnx"
    assert sorted(p.name for p in shipped.parent.iterdir()) == [
        "person.fp16.onnx",
        "person.int8.onnx",
        "person.json",
        "person.keras",
        "person.onnx",
    ]
    card = json.loads((shipped.parent / "person.json").read_text())
    assert card["trained"]["hours"] == 1.0
    assert card["trained"]["stretches"][0]["commit"] == "abc"
    assert card["trained"]["command"] == (
        "python run.py train --data DATA --steps=200 --detector=lite0.tflite"
    )
    assert card["data"]["coco/train2017"]["pictures"] == 2
    assert "CC BY" in card["data"]["coco/train2017"]["terms"]
    assert card["data"]["people/train/friends"]["terms"] == UNSTATED
    assert card["scores"]["fp32"]["other"]["pictures"] == 1
    assert card["scores"]["int8"].keys() == card["scores"]["fp32"].keys()
    before = card["trained"]["network_came_from"]
    assert before["config"] == {"network": "zero.keras"}
    assert before["network_came_from"]["steps"] == 5
    (same,) = card["trained"]["blended"]["the mean, weight by weight, with"]
    assert same["steps"] == 200 and same["config"]["batch"] == 16
    assert "network_came_from" not in same
    assert str(tmp_path) not in json.dumps(card)


def test_a_network_that_is_not_shipped_leaves_what_ships_as_it_was(run, tmp_path, monkeypatch):
    models = tmp_path / "models"
    models.mkdir()
    (models / "person.keras").write_bytes(b"ships")
    monkeypatch.setattr(main, "int8_from_onnx", Mock(side_effect=ExportError("int8 loses a lot")))
    config = ExportConfig(run, models=models, height=64, width=64, calibration_pictures=1)
    with pytest.raises(ExportError, match="int8 loses a lot"):
        main.main(config)
    assert [path.name for path in models.iterdir()] == ["person.keras"]
    assert (models / "person.keras").read_bytes() == b"ships"


def test_eight_bits_that_lose_too_much_are_not_shipped():
    scores = {"fp32": {"coco": {"iou": 0.70}}, "int8": {"coco": {"iou": 0.69}}}
    main.check_loss(scores, 0.02)
    with pytest.raises(ExportError, match=r"loses 0\.0100 IoU on coco, more than 0\.005"):
        main.check_loss(scores, 0.005)


def test_a_run_that_has_not_ended_is_not_shipped(run, tmp_path):
    (run / "network.keras").unlink()
    with pytest.raises(ExportError, match="the run has not ended"):
        main.main(ExportConfig(run, models=tmp_path / "models"))


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(ExportError, match="the run has not ended"):
        main.main(ExportConfig(tmp_path, models=tmp_path / "models"))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"height": 100}, "height 100: must be a multiple of 32"), ({"tolerance": 0}, "above 0")],
)
def test_what_cannot_work_is_rejected(change, message):
    with pytest.raises(ExportError, match=message):
        ExportConfig(Path("run"), **change)


def test_blended_weights_are_the_mean_of_all_networks(network, tmp_path):
    files = [network]
    for number, more in enumerate((1, 5)):
        other = keras.models.load_model(network, compile=False)
        other.set_weights([weight + more for weight in other.get_weights()])
        other.save(tmp_path / f"{number}.keras")
        files.append(tmp_path / f"{number}.keras")
    before = keras.models.load_model(network, compile=False).get_weights()
    after = main.blended(files).get_weights()
    for one, mean in zip(before, after, strict=True):
        np.testing.assert_allclose(mean, one + 2, atol=1e-5)


def test_a_network_of_half_belief_is_one_that_is_told_half(network):
    before, after = (keras.models.load_model(network, compile=False) for _ in range(2))
    main.believing(after, 0.5)
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    previous = rng.uniform(0, 1, (1, 64, 96, 1)).astype(np.float32)
    told = {"image": image, "previous": previous}
    wanted = before({**told, "previous": previous / 2})
    np.testing.assert_allclose(after(told), wanted, atol=1e-5)
    assert np.abs(np.array(after(told)) - np.array(before(told))).max() > 1e-4


def test_networks_of_other_shapes_are_not_blended(network, tmp_path):
    image = keras.Input((64, 64, 3), name="image")
    keras.Model(image, keras.layers.Conv2D(1, 1)(image)).save(tmp_path / "other.keras")
    with pytest.raises(ExportError, match="not of one shape"):
        main.blended([network, tmp_path / "other.keras"])
