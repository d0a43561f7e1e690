"""ONNX → TensorRT engine, by the very code with which the app builds its own at first use."""

import logging
from pathlib import Path

from export import ExportError
from stream.backends import BackendUnavailable
from stream.backends.engines import Engines
from stream.backends.flavor import PACKAGES, load
from stream.backends.nvidia import GpuCard

log = logging.getLogger(__name__)


def engine_from_onnx(network: Path, size_hw: tuple[int, int], card: GpuCard | None) -> str:
    """Make the engine beside the network, where one can be built; what there is to say of it.

    Raises ExportError where TensorRT is there and refuses the network.
    """
    try:
        flavor = load()
        if card is not None:
            flavor.check(card)
        flavor.bounds(card)
    except BackendUnavailable as error:
        return f"not made: {error.reason}"
    try:
        engines = Engines(network, flavor, card, network.parent)
        key, _, _ = engines.engine(size_hw)
    except BackendUnavailable as error:
        raise ExportError(f"cannot make an engine of {network}: {error}") from error
    return ", ".join(f"{name} {value}" for name, value in key.bound)


def plan_from_onnx(
    network: Path, size_hw: tuple[int, int], card: GpuCard | None, batch: int
) -> bytes | None:
    """An engine of TensorRT itself for up to `batch` frames at once; None: none can be built.

    Raises ExportError where TensorRT is there and refuses the network.
    """
    try:
        flavor = load()
    except BackendUnavailable:
        return None
    if card is None or flavor.name != PACKAGES["tensorrt"]:
        return None
    try:
        return Engines(network, flavor, card, network.parent, batch).engine(size_hw)[1]
    except BackendUnavailable as error:
        raise ExportError(f"cannot make an engine of {network}: {error}") from error
