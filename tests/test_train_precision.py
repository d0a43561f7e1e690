"""Mixed precision: what is computed in it, and that none of it is left in what is shipped."""

from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="requirements-train.txt is not installed")

import keras
import numpy as np

from train import main
from train.average import plain, take_average
from train.config import TrainConfig
from train.distribute import share_norms
from train.journal import curves, rounds_done, write_curves
from train.unet import freeze_encoder_norms

pytestmark = [
    pytest.mark.usefixtures("eager"),
    pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning"),
]


def config_for(people: Path, run: Path, **changes) -> TrainConfig:
    sizes = {"batch": 2, "size": 32, "judge_size": 32, "width": 0.25, "depth": 0.3}
    rounds = {"steps": 3, "steps_per_round": 1, "warmup_steps": 1, "norm_batches": 2, "workers": 1}
    return TrainConfig(data=people, run=run, imagenet=False, **{**sizes, **rounds, **changes})


def inputs() -> dict[str, np.ndarray]:
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    return {"image": image, "previous": np.zeros((2, 32, 32, 1), np.float32)}


def computed_in(model: keras.Model) -> set[str]:
    return {layer.compute_dtype for layer in model.layers if layer.weights}


@pytest.mark.parametrize("precision", [pytest.param("bfloat16", marks=pytest.mark.slow), "float16"])
def test_a_run_ends_with_a_network_in_float32(precision, people, tmp_path):
    config = config_for(people, tmp_path / "run", precision=precision)
    trained = main.main(config)
    assert all(np.isfinite(line["loss"]) for line in curves(config.run))
    model = keras.models.load_model(trained.network)
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert precision not in trained.network.read_bytes().decode("latin1")
    assert keras.config.dtype_policy().name == "float32", "the next network computes as ever"


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_layers_compute_in_it_but_weights_and_alphas_do_not(precision, people, tmp_path):
    model = main.start(config_for(people, tmp_path, precision=precision))
    assert computed_in(model) == {precision}
    assert {weight.dtype for weight in model.weights} == {"float32"}
    alpha = model(inputs())
    assert keras.backend.standardize_dtype(alpha.dtype) == "float32"
    full = np.asarray(plain(model)(inputs()))
    assert 0 < np.abs(np.asarray(alpha) - full).max() < 0.05


def test_float16_has_its_loss_scaled(people, tmp_path):
    for precision in ("float32", "bfloat16", "float16"):
        optimizer = main.start(config_for(people, tmp_path, precision=precision)).optimizer
        is_scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        assert is_scaled == (precision == "float16")


def test_rounds_count_steps_that_float16_passed_over(people, tmp_path):
    config = config_for(people, tmp_path, precision="float16", steps=4, steps_per_round=2)
    model = main.start(config)
    assert rounds_done(model, config) == 0
    write_curves([{"round": 1, "step": 2}], tmp_path)
    model.optimizer.inner_optimizer.iterations.assign(1)  # one of the two was passed over
    assert rounds_done(model, config) == 1
    model.optimizer.inner_optimizer.iterations.assign(4)  # killed before it wrote its line
    assert rounds_done(model, config) == 2


def test_the_plain_copy_is_the_same_network(people, tmp_path):
    model = main.start(config_for(people, tmp_path))
    freeze_encoder_norms(model)
    share_norms(model)
    copy = plain(model)
    np.testing.assert_allclose(copy(inputs()), model(inputs()), atol=1e-6)
    assert set(copy.input) == {"image", "previous"}
    for ours, theirs in zip(copy.layers, model.layers, strict=True):
        assert (ours.name, ours.trainable) == (theirs.name, theirs.trainable)
        assert not getattr(ours, "synchronized", False)


def test_averaging_leaves_the_learning_network_alone(people, tmp_path):
    config = config_for(people, tmp_path / "run", average=0.5)
    model = main.start(config)
    mask = np.ones((2, 32, 32, 2), np.float32)
    for _ in range(3):
        model.train_on_batch(inputs(), mask)
    before, network = model.get_weights(), plain(model)
    take_average(network, model, [inputs()])
    for now, then in zip(model.get_weights(), before, strict=True):
        assert np.array_equal(now, then)
    lagging = network.get_layer("logits").get_weights()[1]
    assert not np.allclose(lagging, model.get_layer("logits").get_weights()[1], atol=1e-9)
