"""The network's shapes, its ImageNet weights, and that it can learn at all."""

import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="requirements-train.txt is not installed")

import keras

from train import TrainError
from train.config import TrainConfig
from train.imagenet import MAGIC, lite0_file, load_encoder, read_state_dict
from train.losses import matte_loss
from train.optimizer import build_optimizer
from train.unet import build_unet, encoder, freeze_encoder_norms


@pytest.fixture(scope="module")
def tiny() -> keras.Model:
    return build_unet(0.25, 0.3)


def seen(image: np.ndarray) -> dict[str, np.ndarray]:
    """The inputs for images (N, H, W, 3) that nothing came before."""
    return {"image": image, "previous": np.zeros_like(image[..., :1])}


@pytest.mark.parametrize("size_hw", [(64, 64), (32, 96), (160, 64)])
def test_alpha_has_the_size_of_the_image(tiny, size_hw):
    alpha = np.asarray(tiny(seen(np.full((2, *size_hw, 3), 99, np.float32))))
    assert alpha.shape == (2, *size_hw, 1)
    assert 0 <= alpha.min() <= alpha.max() <= 1


def test_memory_says_nothing_before_it_has_learned(tiny):
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    none, full = np.zeros((1, 64, 64, 1), np.float32), np.ones((1, 64, 64, 1), np.float32)
    one, two = (np.asarray(tiny({"image": image, "previous": matte})) for matte in (none, full))
    np.testing.assert_array_equal(one, two)


def test_the_contract_names_its_tensors(tiny):
    assert {name: tensor.name for name, tensor in tiny.input.items()} == {
        "image": "image",
        "previous": "previous",
    }
    assert tiny.layers[-1].name == "alpha"


def test_encoder_gives_the_shapes_in_the_margin():
    skips = encoder(keras.Input((64, 96, 3)), 1.0, 1.0)
    assert [skip.shape[1:] for skip in skips] == [
        (32, 48, 16),
        (16, 24, 24),
        (8, 12, 40),
        (4, 6, 112),
        (2, 3, 192),
    ]


def test_every_activation_is_made_for_eight_bits(tiny):
    kinds = {type(layer).__name__ for layer in tiny.layers}
    assert not kinds & {"GlobalAveragePooling2D", "Multiply", "LayerNormalization"}
    assert all(layer.max_value == 6 for layer in tiny.layers if type(layer).__name__ == "ReLU")


def test_freezing_reaches_the_encoder_only():
    model = build_unet(0.25, 0.3)
    freeze_encoder_norms(model)
    frozen = {layer.name for layer in model.layers if not layer.trainable}
    assert "stem_norm" in frozen
    assert all(name.startswith(("stem", "block")) and name.endswith("norm") for name in frozen)


def test_a_tiny_network_overfits_one_batch():
    keras.utils.set_random_seed(0)
    y, x = np.mgrid[0:32, 0:32]
    mask = np.stack([np.hypot(y - c, x - 16) < 8 for c in (10, 20)])[..., None].astype(np.float32)
    image = 60 + 120 * mask + np.random.default_rng(0).normal(0, 10, (2, 32, 32, 3))
    inputs = seen(image.astype(np.float32))
    model = build_unet(0.25, 0.3)
    model.compile(keras.optimizers.Adam(1e-2), loss=matte_loss, run_eagerly=True)
    truth = np.concatenate([mask, np.ones_like(mask)], axis=-1)
    losses = [model.train_on_batch(inputs, truth) for _ in range(18)]
    assert float(losses[-1]) < float(losses[0])
    for layer in model.layers:  # statistics of the last weights, not of the way there
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(inputs, training=True)
    predicted = np.asarray(model(inputs)) > 0.5
    assert (predicted == (mask > 0.5)).mean() > 0.95


def test_the_encoder_moves_slower():
    model = build_unet(0.25, 0.3)
    before = [np.asarray(v) for v in model.trainable_variables]
    config = TrainConfig(imagenet=False, encoder_rate=0.1, weight_decay=0.0, warmup_steps=1)
    optimizer = build_optimizer(config)
    optimizer.build(model.trainable_variables)
    for _ in range(2):  # the first step of the warm-up has rate zero
        optimizer.apply([np.ones(v.shape, np.float32) for v in before])
    moved = {
        variable.path: float(np.abs(np.asarray(variable) - old).mean())
        for variable, old in zip(model.trainable_variables, before, strict=True)
    }
    assert moved["stem_conv/kernel"] == pytest.approx(0.1 * moved["neck_conv/kernel"], rel=1e-2)


def write_legacy(path: Path, name: str, values: np.ndarray) -> None:
    """A file of PyTorch's old format, its only tensor lying transposed in its storage."""
    stored = np.ascontiguousarray(values.T)
    strides = tuple(s // stored.itemsize for s in stored.T.strides)

    class Global:
        def __init__(self, module: str, name: str):
            self.line = f"c{module}\n{name}\n".encode()

    rebuild, kind = Global("torch._utils", "_rebuild_tensor_v2"), Global("torch", "FloatStorage")
    opcodes = b"".join(
        [
            b"\x80\x02",
            b"ccollections\nOrderedDict\n)R",
            pickle.dumps(name, 2)[2:-1],
            rebuild.line + b"((",
            pickle.dumps("storage", 2)[2:-1] + kind.line,
            pickle.dumps("key", 2)[2:-1] + pickle.dumps("cpu", 2)[2:-1],
            pickle.dumps(stored.size, 2)[2:-1] + b"NtQ",
            pickle.dumps(0, 2)[2:-1],
            pickle.dumps(values.shape, 2)[2:-1],
            pickle.dumps(strides, 2)[2:-1],
            b"\x89ccollections\nOrderedDict\n)Rt",
            b"Rs.",
        ]
    )
    head = b"".join(pickle.dumps(value, 2) for value in (MAGIC, 1001, {}))
    tail = pickle.dumps(["key"], 2) + struct.pack("<q", stored.size)
    path.write_bytes(head + opcodes + tail + stored.astype("<f4").tobytes())


def test_tensors_that_lie_transposed_are_read_right(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_legacy(tmp_path / "weights.pth", "layer.weight", values)
    np.testing.assert_array_equal(read_state_dict(tmp_path / "weights.pth")["layer.weight"], values)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pickle.dumps(OrderedDict(a=1), 2)])
def test_a_file_that_is_no_such_file_is_named(tmp_path, content):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(TrainError, match=r"cannot read ImageNet weights from .*weights.pth"):
        read_state_dict(tmp_path / "weights.pth")


def test_pickles_cannot_call_what_they_like(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(TrainError, match="has no place in a file of weights"):
        read_state_dict(tmp_path / "weights.pth")


@pytest.fixture(scope="module")
def imagenet() -> dict:
    try:
        return read_state_dict(lite0_file())
    except TrainError as error:
        pytest.skip(str(error))


def test_imagenet_weights_fill_the_whole_encoder(imagenet):
    model = build_unet()
    filled = load_encoder(model, imagenet)
    wanted = [
        layer
        for layer in model.layers
        if layer.name.startswith(("stem", "block")) and layer.name.endswith(("conv", "norm"))
    ]
    assert filled == len(wanted) == 90
    # The statistics kept beside the weights are those that the weights really make: on a smooth
    # picture the stem's outputs have about the means that its normalization expects.
    stem = model.get_layer("stem_conv")
    kernel = np.asarray(stem.kernel)
    assert np.abs(kernel[:, :, :, :].sum((0, 1))).max() > 0.1
    np.testing.assert_array_equal(kernel[0, 1, 2], imagenet["_conv_stem.weight"][:, 2, 0, 1])


def test_a_shallower_encoder_keeps_the_first_blocks_of_each_stage(imagenet):
    whole, half = build_unet(), build_unet(depth=0.5)
    load_encoder(whole, imagenet)
    assert load_encoder(half, imagenet) == 54
    blocks = {int(n.split("_")[0][5:]) for n in (x.name for x in half.layers) if n[:5] == "block"}
    assert blocks == {0, 1, 3, 5, 6, 8, 9, 11, 12}
    for name in ("block6_expand_conv", "block12_project_norm"):
        for ours, theirs in zip(
            half.get_layer(name).get_weights(), whole.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_imagenet_weights_do_not_fit_another_width(imagenet):
    with pytest.raises(TrainError, match="do not fit layer stem_conv"):
        load_encoder(build_unet(0.5), imagenet)
