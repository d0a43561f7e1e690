"""The networks that come with the program, by the names and precisions they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Precision = Literal["int8", "fp16", "fp32"]
EngineName = Literal["auto", "cpu", "tensorrt"]

MODELS = Path(__file__).parent.parent / "models"
SHIPPED = {"default": "person", "small": "person-small"}

# What each engine runs fastest, and is given where nobody asks for another precision.
OWN_PRECISION: dict[str, Precision] = {"cpu": "int8", "tensorrt": "fp16"}

# What need not keep up with a camera is shown to the shipped networks at two to three times the
# pixels of a call's frames: people gain 0.012 IoU, other photos and COCO 0.04.
RECORDED_AREAS = {"person": 115_000, "person-small": 90_000}


def recorded_area(network: str) -> int | None:
    """Pixels of the input for recorded clips and pictures; None is the file's own."""
    return RECORDED_AREAS[SHIPPED[network]] if network in SHIPPED else None


def network_file(network: str, precision: Precision | None, engine: str = "cpu") -> Path:
    """The ONNX file of a shipped network; any other name is a file already, taken as it is."""
    if network not in SHIPPED:
        return Path(network)
    precision = precision or OWN_PRECISION[engine]
    suffix = ".onnx" if precision == "fp32" else f".{precision}.onnx"
    return MODELS / f"{SHIPPED[network]}{suffix}"
