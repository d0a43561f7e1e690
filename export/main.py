"""Shipping a training run: convert, prove equal, score, write the card."""

import json
import logging
from pathlib import Path
from shutil import copy

from export import ExportError
from export.card import card, write_card
from export.config import ExportConfig
from export.evaluate import evaluate
from export.parity import compare
from export.to_onnx import onnx_from_keras, open_keras
from train import TrainError
from train.collection import validation
from train.journal import CONFIG
from train.main import NETWORK

log = logging.getLogger(__name__)


def main(config: ExportConfig) -> Path:
    """Make NAME.keras, NAME.onnx and NAME.json out of a run; return the .onnx file's path."""
    keras_file, onnx_file, card_file = (
        config.models / f"{config.name}{suffix}" for suffix in (".keras", ".onnx", ".json")
    )
    try:
        config.models.mkdir(parents=True, exist_ok=True)
        copy(network_of(config.run), keras_file)
        onnx_from_keras(keras_file, onnx_file, (config.height, config.width))
        parity = compare(open_keras(keras_file), onnx_file, tolerance=config.tolerance)
        scores = score(onnx_file, config.data or data_of(config.run))
        write_card(card(config.run, scores, parity), card_file)
    except (TrainError, OSError) as error:
        raise ExportError(f"cannot ship {config.run}: {error}") from error
    return onnx_file


def network_of(run: Path) -> Path:
    """The network that a run ended with."""
    if not (run / NETWORK).exists():
        raise ExportError(
            f"no {NETWORK} in {run}: the run has not ended; resume it, if need be with the steps "
            "that it has done"
        )
    return run / NETWORK


def score(network: Path, data: Path) -> dict[str, dict]:
    """Score the network on every validation group of the data."""
    table = {}
    for group, samples in validation(data).items():
        means = evaluate(network, samples).means
        table[group] = {"pictures": len(samples)} | {k: round(v, 4) for k, v in means.items()}
        log.info("%s: %s", group, table[group])
    return table


def data_of(run: Path) -> Path:
    """The data that a run learned from."""
    return Path(json.loads((run / CONFIG).read_text())["config"]["data"])
