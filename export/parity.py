"""Proof that an exported network computes what Keras computes, through the app's own engine."""

import logging
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops

from export import ExportError
from stream.backends import open_backend
from stream.backends.trial import probe

# The app opens the network at the shape that fits a frame: square, landscape, upright.
SHOWN_HW = ((1, 1), (9, 16), (16, 9), (3, 4))

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Difference:
    """How far an engine is from Keras at one input size."""

    engine: str
    input_hw: tuple[int, int]
    largest: float
    mean: float


def compare(model: keras.Model, network: Path, *, tolerance: float) -> list[Difference]:
    """Run both at every shape; raise ExportError when they differ by more than `tolerance`."""
    with closing(open_backend(network)) as backend:
        rows = []
        for shown_hw in SHOWN_HW:
            image, previous = probe(backend.fit(shown_hw))
            inputs = {"image": image, "previous": previous}
            wanted = ops.convert_to_numpy(model(inputs, training=False))
            apart = np.abs(backend.infer(image, previous) - wanted)
            rows.append(
                Difference(backend.name, image.shape[1:3], float(apart.max()), float(apart.mean()))
            )
            log.info("%s", rows[-1])
    worst = max(rows, key=lambda row: row.largest)
    if not worst.largest <= tolerance:
        raise ExportError(
            f"{worst.engine} differs from Keras by {worst.largest:.2g} at input {worst.input_hw}, "
            f"more than {tolerance:.2g}: do not ship {network}"
        )
    return rows
