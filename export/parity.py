"""Proof that an exported network computes what Keras computes, through the app's own engine."""

import logging
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from export import ExportError
from stream.backends import open_backend

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


def probe(input_hw: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A picture (1, H, W, 3) with everything in it, and a matte (1, H, W, 1) before it.

    Slopes, edges, noise, black and white; a disk with a soft edge.
    """
    h, w = input_hw
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:h, 0:w] / max(h, w)
    waves = np.stack([np.sin(9 * x + 5 * y), np.cos(7 * y * x), x - y], axis=-1)
    picture = 127 + 90 * waves + rng.normal(0, 20, (h, w, 3))
    picture[h // 4 : h // 2, w // 3 : w // 2] = (224, 172, 145)  # a patch of skin, hard edges
    previous = np.clip(3 - 12 * np.hypot(y - 0.4, x - 0.5), 0, 1)
    return (
        np.clip(picture, 0, 255).astype(np.float32)[None],
        previous.astype(np.float32)[None, ..., None],
    )
