"""Others' networks, each in its own way: stand-ins whose alpha is known, and the real ones."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import run
from export import ExportError
from export.config import EvaluateConfig
from export.evaluate import main
from export.forward import forward_passes, requests_of
from export.peers import RECIPES, Peer, Recipe, open_peers

RED = (250, 40, 90)  # RGB


def save(
    path: Path, nodes: list, inputs: dict, outputs: dict, constants: dict | None = None
) -> Path:
    """An ONNX file from nodes, and shapes or values by name."""
    graph = helper.make_graph(
        nodes,
        "peer",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [
            helper.make_tensor(n, TensorProto.FLOAT, np.shape(v), np.ravel(v))
            for n, v in (constants or {}).items()
        ],
    )
    opsets = [helper.make_opsetid("", 12)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=7), path)
    return path


def first_channel(path: Path) -> Path:
    """NHWC, one alpha: the first channel as the network sees it."""
    node = helper.make_node("ReduceSum", ["x_weighted"], ["alpha"], axes=[3], keepdims=1)
    weigh = helper.make_node("Mul", ["x", "weights"], ["x_weighted"])
    shapes = {"x": [1, 64, 64, 3]}, {"alpha": [1, 64, 64, 1]}
    return save(path, [weigh, node], *shapes, {"weights": [1.0, 0.0, 0.0]})


def two_logits(path: Path) -> Path:
    """NHWC, two logits: 0 and the first channel."""
    matrix = [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    node = helper.make_node("MatMul", ["x", "matrix"], ["logits"])
    return save(path, [node], {"x": [1, 36, 64, 3]}, {"logits": [1, 36, 64, 2]}, {"matrix": matrix})


def last_of_three(path: Path) -> Path:
    """NCHW, two channels: the second and the third as the network sees them."""
    node = helper.make_node("Gather", ["x", "places"], ["both"], axis=1)
    both = save(path, [node], {"x": ["N", 3, 64, 64]}, {"both": ["N", 2, 64, 64]})
    proto = onnx.load(both)
    proto.graph.initializer.append(helper.make_tensor("places", TensorProto.INT64, [2], [1, 2]))
    onnx.save(proto, both)
    return both


def counting(path: Path) -> Path:
    """NCHW with two states: the alpha is the first state, which grows by 0.25 a frame."""
    nodes = [
        helper.make_node("Identity", ["x"], ["fgr"]),
        helper.make_node("Identity", ["r1i"], ["pha"]),
        helper.make_node("Add", ["r1i", "quarter"], ["r1o"]),
        helper.make_node("Sub", ["r2i", "quarter"], ["r2o"]),
    ]
    small = [1, 1, 32, 32]
    image, states = {"x": [1, 3, 32, 32]}, {"r1i": small, "r2i": small}
    outputs = {"fgr": [1, 3, 32, 32], "pha": small, "r1o": small, "r2o": small}
    return save(path, nodes, image | states, outputs, {"quarter": [0.25]})


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """40 rows, 50 columns, all of one color."""
    path = tmp_path / "images" / "red.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), np.full((40, 50, 3), RED[::-1], np.uint8))
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "red.png"), np.full((40, 50), 255, np.uint8))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Stand-ins for four kinds of published networks."""
    folder = tmp_path / "peers"
    folder.mkdir()
    first_channel(folder / "obsbr_selfie_segmentation.onnx")
    two_logits(folder / "obsbr_mediapipe.onnx")
    last_of_three(folder / "obsbr_SINet_Softmax_simple.onnx")
    counting(folder / "rvm_tiny.onnx")
    return folder


def by_name(folder: Path) -> dict[str, Peer]:
    return {peer.name: peer for peer in open_peers(folder)}


def test_they_come_in_the_order_of_the_recipes(folder):
    assert list(by_name(folder)) == [
        "MediaPipe Selfie",
        "Google Meet",
        "SINet",
        "RVM",
    ]


def test_mattes_have_the_pictures_size(folder, picture):
    assert {peer.matte(picture).shape for peer in open_peers(folder)} == {(40, 50)}


def test_rgb_from_0_to_1(folder, picture):
    alpha = by_name(folder)["MediaPipe Selfie"].matte(picture)
    assert alpha == pytest.approx(RED[0] / 255, abs=1e-5)


def test_two_logits_become_an_alpha(folder, picture):
    alpha = by_name(folder)["Google Meet"].matte(picture)
    assert alpha == pytest.approx(1 / (1 + np.exp(-RED[0] / 255)), abs=1e-5)


def test_bgr_with_its_own_mean_and_spread(folder, picture):
    """The second output is the third channel, which is red in BGR."""
    alpha = by_name(folder)["SINet"].matte(picture)
    assert alpha == pytest.approx((RED[0] - 126.91) / 66.36 / 255, abs=1e-5)


def test_aspect_is_kept_where_the_recipe_says_so(tmp_path, picture):
    """A network that gives back its picture: black rows above and below are cut off again."""
    node = helper.make_node("Identity", ["x"], ["y"])
    shapes = {"x": [1, 3, 64, 64]}, {"y": [1, 3, 64, 64]}
    network = save(tmp_path / "identity.onnx", [node], *shapes)
    for keeps_aspect, rows in ((False, 64), (True, 51)):
        recipe = Recipe("one", lambda output: output[0, 0], keeps_aspect=keeps_aspect)
        peer = Peer(network, recipe)
        assert peer.matte(picture) == pytest.approx(RED[0] / 255, abs=1e-5)
        seen = peer.request.input_tensors[0].data[0, 0]
        assert np.count_nonzero(np.isclose(seen[:, 32], RED[0] / 255)) == rows


def test_states_go_from_frame_to_frame_until_forgotten(folder, picture):
    peer = by_name(folder)["RVM"]
    assert [float(peer.matte(picture).mean()) for _ in range(3)] == [0, 0.25, 0.5]
    peer.begin(is_clip=True)
    assert float(peer.matte(picture).max()) == 0


def test_still_pictures_start_from_nothing_and_a_clip_does_not(folder, picture, bright_network):
    cv2.imwrite(str(picture.parent / "too.png"), cv2.imread(str(picture)))
    masks = picture.parent.parent / "masks"
    cv2.imwrite(str(masks / "too.png"), np.full((40, 50), 255, np.uint8))
    for name in ("obsbr_selfie_segmentation", "obsbr_mediapipe", "obsbr_SINet_Softmax_simple"):
        (folder / f"{name}.onnx").unlink()
    asked = {"masks": masks, "network": bright_network, "peers": folder}
    _, stills = main(EvaluateConfig(picture.parent, **asked)).evaluations
    _, clip = main(EvaluateConfig(frames=picture.parent, **asked)).evaluations
    assert [row["mad"] for row in stills.rows.values()] == [1, 1]
    assert [row["mad"] for row in clip.rows.values()] == [1, 0.75]


def test_the_command_shows_them_side_by_side_and_times_them(
    folder, picture, bright_network, capsys
):
    words = ["evaluate", picture.parent, picture.parent.parent / "masks"]
    words += ["--network", bright_network, "--peers", folder]
    assert run.main([str(word) for word in words]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = ["bright", *(peer.name for peer in open_peers(folder))]
    assert lines[1].split() == ["pictures", "1"]
    assert [line[2 : 2 + len(name)] for line, name in zip(lines[2:7], names, strict=True)] == names
    costs = lines[8:]
    assert [line[: len(name)] for line, name in zip(costs, names, strict=True)] == names
    assert costs[1].split()[-1] == "1.00"


def test_ours_is_timed_square_and_wide(tmp_path):
    add = [helper.make_node("ReduceMean", ["image"], ["alpha"], axes=[3], keepdims=1)]
    network = save(
        tmp_path / "ours.onnx", add, {"image": [1, 128, 128, 3]}, {"alpha": [1, 128, 128, 1]}
    )
    square, wide = forward_passes(requests_of(network))
    assert (square.network, square.input_hw, wide.input_hw) == ("ours", (128, 128), (96, 160))
    assert 0 < square.median_ms <= square.p95_ms


def test_strangers_are_left_out_and_named(folder, caplog):
    first_channel(folder / "somebody.onnx")
    assert len(open_peers(folder)) == 4
    assert "somebody.onnx is left out" in caplog.text


def test_a_folder_without_any_is_an_error(tmp_path):
    with pytest.raises(ExportError, match=r"no network in .* is known: expected obsbr_selfie"):
        open_peers(tmp_path)


def test_a_damaged_file_is_named(folder):
    (folder / "obsbr_mediapipe.onnx").write_bytes(b"nothing")
    with pytest.raises(ExportError, match=r"cannot read the network .*obsbr_mediapipe.onnx"):
        open_peers(folder)


@pytest.fixture(scope="module")
def real(shared: Path) -> Path:
    """The networks that people use today."""
    if not (shared / "peers").is_dir():
        pytest.skip("needs ../shared/peers (networks of others), which is not here")
    return shared / "peers"


def test_every_real_network_finds_a_face(real, shared):
    portrait = min((shared / "data/people/val/images").glob("portrait_apm-*"))
    mask = cv2.imread(str(shared / f"data/people/val/masks/{portrait.stem}.png"), 0) >= 128
    for path in sorted(real.glob("*.onnx")):
        recipe = next(recipe for pattern, recipe in RECIPES.items() if path.match(pattern))
        found = Peer(path, recipe).matte(portrait) >= 0.5
        assert np.count_nonzero(found & mask) > 0.9 * np.count_nonzero(found | mask), path.name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # TensorFlow's
def test_tflite_and_onnx_of_one_network_agree(real, shared):
    """The ONNX file was converted by others: an oracle for the operator that is replaced here."""
    portrait = min((shared / "data/people/val/images").glob("portrait_apm-*"))
    names = ("obsbr_selfie_segmentation.onnx", "mediapipe_npm_selfie_segmentation_256x256.tflite")
    ours, theirs = (
        Peer(real / name, RECIPES["mediapipe_*.tflite"]).matte(portrait) for name in names
    )
    assert ours == pytest.approx(theirs, abs=1e-5)
