"""Training, from a folder of data to a network with its scores."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from train import TrainError
from train.average import plain, take_average
from train.collection import Collection, census, training, validation
from train.config import TrainConfig
from train.dataset import Batches, Inputs
from train.detector import load_detector, read_detector
from train.distribute import building, fitting, on_one_device, share_norms
from train.imagenet import lite0_file, load_encoder, read_state_dict
from train.journal import (
    CHECKPOINT,
    Journal,
    open_run,
    resumable,
    rounds_done,
    save,
    write_json,
)
from train.losses import matte_loss
from train.optimizer import build_optimizer
from train.score import Scores, score_groups
from train.teacher import TaughtLoss, taught
from train.unet import ENCODER, build_unet, freeze_blocks, freeze_encoder_norms
from train.unrolled import unrolled

NETWORK = "network.keras"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """What a run made."""

    network: Path
    """The .keras file: averaged weights, float32, no optimizer state."""
    scores: dict[str, Scores]
    """Per validation group."""


def main(config: TrainConfig) -> Trained:
    """Learn from `config.data`: data → network → fit → score → save."""
    keras.utils.set_random_seed(config.seed)
    collection, held_back = training(config.data, config.hard_repeats), validation(config.data)
    log.info("%d samples to learn from", len(collection.samples))
    open_run(config, census(collection, config.data))
    with building(config.devices):
        model = resume(config) if config.resume else start(config)
    network, done = plain(model), rounds_done(model, config)

    def judge(limit: int | None = config.judge_pictures) -> dict[str, Scores]:
        with on_one_device():
            take_average(network, model, some_images(collection, config))
            return score_groups(network, held_back, config.judge_size, limit=limit)

    with resumable(config):
        with fitting(config.devices), errors_as_raised():
            model.fit(
                Batches(collection, config, first_round=done),
                initial_epoch=done,
                epochs=config.steps // config.steps_per_round,
                callbacks=[Journal(config, judge)],
                shuffle=False,  # the samples come shuffled, by the seed
                verbose=0,
            )
        return finish(network, judge(limit=None), config)


def some_images(collection: Collection, config: TrainConfig) -> Iterator[Inputs]:
    """The first batches of inputs of the run, for the normalization statistics."""
    batches = Batches(collection, config)
    return (batches[step][0] for step in range(config.norm_batches))


@contextmanager
def errors_as_raised() -> Iterator[None]:
    """Turn what went wrong while a batch was prepared into the TrainError that it was.

    TensorFlow hands it on as an error of its own, with ours as the last line of a traceback.
    """
    try:
        yield
    except TrainError:
        raise
    except Exception as error:
        _, ours, message = str(error).rpartition(f"{TrainError.__name__}: ")
        if not ours:
            raise
        raise TrainError(message.splitlines()[0]) from error


def start(config: TrainConfig) -> keras.Model:
    """Build the network and what moves it."""
    with computing_in(config.precision):
        model = unrolled(build_unet(config.width, config.depth))
        loss = matte_loss
        if config.teacher is not None:
            model, loss = taught(model, config.teacher), TaughtLoss(config.teacher_weight)
    if config.imagenet:
        load_encoder(model, read_state_dict(lite0_file()))
        freeze_encoder_norms(model)
    if config.detector is not None:
        load_detector(model, read_detector(config.detector))
    if config.network is not None:
        take_weights(model, config.network, but=ENCODER if config.detector else ())
    freeze_blocks(model, config.frozen_blocks)
    if config.devices > 1:
        share_norms(model)
    # XLA is for GPUs: on two cores it makes a step of 0.48 s last 4.6 s. JAX knows nothing else.
    jit = False if keras.backend.backend() == "tensorflow" else "auto"
    # In float16 Keras scales the loss, so that small gradients do not become 0.
    model.compile(build_optimizer(config), loss=loss, jit_compile=jit)
    return model


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers built inside compute in it; their weights, and alphas, stay float32.

    Mixed precision (Micikevicius et al. 2018).
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def resume(config: TrainConfig) -> keras.Model:
    """Take up the checkpoint, if it is of the network that the configuration asks for."""
    model = start(config)
    model.optimizer.build(model.trainable_variables)  # or its state would be passed over
    load_into(model, config.run / CHECKPOINT)
    return model


def load_into(model: keras.Model, path: Path) -> None:
    """Give the model what a .keras file of the same network holds. Raises TrainError."""
    try:
        with warnings.catch_warnings(action="error"):  # Keras only warns of what it passes over
            model.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise TrainError(f"{path} is no checkpoint of this network: {error}") from error


def take_weights(model: keras.Model, path: Path, but: tuple[str, ...] = ()) -> None:
    """Give layers, but those so named, their namesakes' weights in a network. Raises TrainError."""
    try:
        theirs = keras.models.load_model(path, compile=False)
    except (ValueError, OSError, KeyError) as error:
        raise TrainError(f"cannot start from {path}: {error}") from error
    namesakes = {layer.name: layer.get_weights() for layer in theirs.layers}
    asked = [layer for layer in model.layers if layer.weights and not layer.name.startswith(but)]
    taken = [layer for layer in asked if _fits(layer, namesakes)]
    if not taken:
        raise TrainError(f"cannot start from {path}: none of its layers is one of this network's")
    for layer in taken:
        layer.set_weights(namesakes[layer.name])
    fresh = [layer.name for layer in asked if layer not in taken]
    log.info("%d layers start from %s, these anew: %s", len(taken), path, fresh)


def _fits(layer: keras.Layer, namesakes: dict[str, list[np.ndarray]]) -> bool:
    theirs = namesakes.get(layer.name, [])
    return [weight.shape for weight in layer.weights] == [weight.shape for weight in theirs]


def finish(network: keras.Model, scores: dict[str, Scores], config: TrainConfig) -> Trained:
    """Save the network, and its scores beside it."""
    save(network, config.run / NETWORK)
    write_json(scores, config.run / "scores.json")
    for group, row in scores.items():
        log.info("%s: %s", group, {name: round(value, 4) for name, value in row.items()})
    return Trained(config.run / NETWORK, scores)
