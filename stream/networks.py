"""The networks that come with the program, by the names and precisions they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Precision = Literal["int8", "fp32"]

MODELS = Path(__file__).parent.parent / "models"
SHIPPED = {"default": "person", "small": "person-small"}


def network_file(network: str, precision: Precision) -> Path:
    """The ONNX file of a shipped network; any other name is a file already, taken as it is."""
    if network not in SHIPPED:
        return Path(network)
    suffix = ".int8.onnx" if precision == "int8" else ".onnx"
    return MODELS / f"{SHIPPED[network]}{suffix}"
