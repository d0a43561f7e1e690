"""Shipping a training run: convert, prove equal, score, write the card."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import keras

from export import ExportError
from export.calibration import frames
from export.card import card, write_card
from export.config import ExportConfig
from export.evaluate import evaluate
from export.parity import compare
from export.to_fp16 import fp16_from_onnx
from export.to_int8 import int8_from_onnx
from export.to_onnx import onnx_from_keras, open_keras
from export.whole import whole
from stream.networks import RECORDED_AREAS, SHIPPED
from train import TrainError
from train.collection import COMPOSITE, validation
from train.journal import CONFIG
from train.main import NETWORK
from train.sample import Sample

log = logging.getLogger(__name__)


def main(config: ExportConfig) -> Path:
    """Make NAME.keras, NAME.json and NAME.onnx, whose path is returned, in each precision."""
    try:
        with whole(config.models) as place:
            return config.models / ship(config, place).name
    except TrainError as error:
        raise ExportError(f"cannot ship {config.run}: {error}") from error


def ship(config: ExportConfig, place: Path) -> Path:
    """Make the files in a folder; the path of the ONNX file."""
    keras_file, onnx_file, fp16_file, int8_file, card_file = (
        place / f"{config.name}{suffix}"
        for suffix in (".keras", ".onnx", ".fp16.onnx", ".int8.onnx", ".json")
    )
    size_hw = (config.height, config.width)
    model = blended([network_of(config.run), *config.blend])
    believing(model, config.belief).save(keras_file)
    onnx_from_keras(keras_file, onnx_file, size_hw)
    parity = compare(open_keras(keras_file), onnx_file, tolerance=config.tolerance)
    data = config.data or data_of(config.run)
    fp16_from_onnx(onnx_file, fp16_file)
    seen = frames(onnx_file, data, config.calibration_pictures, size_hw)
    int8_from_onnx(onnx_file, int8_file, seen)
    groups = validation(data)
    area = RECORDED_AREAS.get(config.name, RECORDED_AREAS[SHIPPED["default"]])
    scores = {
        "fp32": score(onnx_file, groups, area),
        "int8": score(int8_file, groups, area),
        "int8, live": score(int8_file, groups),
    }
    check_loss(scores, config.int8_loss)
    write_card(card(config.run, scores, parity, config.blend, config.belief), card_file)
    return onnx_file


def network_of(run: Path) -> Path:
    """The network that a run ended with."""
    if not (run / NETWORK).exists():
        raise ExportError(
            f"no {NETWORK} in {run}: the run has not ended; resume it, if need be with the steps "
            "that it has done"
        )
    return run / NETWORK


def blended(networks: Sequence[Path]) -> keras.Model:
    """The mean of networks, weight by weight.

    What a run unlearned on its way from a network to its end, the mean mostly has again, and keeps
    most of what it gained (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903; of several, a soup,
    arXiv:2203.05482).
    """
    models = [open_keras(network) for network in networks]
    weights = [model.get_weights() for model in models]
    for network, theirs in zip(networks, weights, strict=True):
        if [each.shape for each in theirs] != [each.shape for each in weights[0]]:
            raise ExportError(f"cannot blend {networks[0]} with {network}: not of one shape")
    models[0].set_weights([sum(same) / len(models) for same in zip(*weights, strict=True)])
    return models[0]


def believing(model: keras.Model, share: float) -> keras.Model:
    """The network as if it were told that share of `previous`; changed in place.

    The kernel that meets `previous` first has no bias: scaling it is scaling what it is told.
    """
    told = model.get_layer("previous")
    (first,) = (each for each in model.layers if each is not told and each.input is told.output)
    first.set_weights([share * weight for weight in first.get_weights()])
    return model


def score(
    network: Path, groups: dict[str, list[Sample]], area: int | None = None
) -> dict[str, dict]:
    """Score the network on every validation group: as recorded, or, without an area, in a call."""
    table = {}
    for group, samples in groups.items():
        is_clip, is_live = group == COMPOSITE, area is None
        means = evaluate(network, samples, is_clip=is_clip, area=area, is_live=is_live).means
        table[group] = {"pictures": len(samples)} | {k: round(v, 4) for k, v in means.items()}
        log.info("%s: %s", group, table[group])
    return table


def check_loss(scores: dict[str, dict[str, dict]], most: float) -> None:
    """Raise ExportError where int8 loses more IoU than it may."""
    for group, exact in scores["fp32"].items():
        lost = exact["iou"] - scores["int8"][group]["iou"]
        if lost > most:
            raise ExportError(
                f"int8 loses {lost:.4f} IoU on {group}, more than {most}: do not ship it; "
                "calibrate on more pictures, or train longer"
            )


def data_of(run: Path) -> Path:
    """The data that a run learned from."""
    return Path(json.loads((run / CONFIG).read_text())["config"]["data"])
