"""Real frames as the network sees them, with Keras's answers: what every engine is held to."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from export import ExportError
from stream.backends.trial import probe
from train.collection import validation
from train.letterbox import letterbox, unletterbox
from train.metrics import iou
from train.sample import Sample
from train.score import spread

_PATTERNS = 8


@dataclass(frozen=True, eq=False)
class Shown:
    """What a network is shown, and what Keras makes of it; all three (1, H, W, C) float32."""

    name: str
    image: NDArray[np.float32]
    previous: NDArray[np.float32]
    alpha: NDArray[np.float32]
    sample: Sample | None = None
    """Where the truth is; None for a test pattern."""

    def iou(self, alpha: NDArray[np.float32]) -> float | None:
        """How well an alpha of this frame covers the truth, where there is one."""
        if self.sample is None:
            return None
        _, mask, weight = self.sample.read()
        known = weight > 0
        predicted = unletterbox(alpha[0, :, :, 0], mask.shape) >= 0.5
        return iou(predicted & known, (mask >= 128) & known)


def shown_to(
    model: keras.Model, size_hw: tuple[int, int], data: Path | None, count: int
) -> Iterator[Shown]:
    """`count` held-back pictures, each as a first frame and with its own matte before it.

    Test patterns where no data is given. Raises ExportError where the data has none.
    """
    for name, image, sample in _pictures(size_hw, data, count):
        previous = np.zeros((*image.shape[:3], 1), np.float32)
        first = _answer(model, image, previous)
        yield Shown(name, image, previous, first, sample)
        yield Shown(f"{name}, after itself", image, first, _answer(model, image, first), sample)


def _pictures(
    size_hw: tuple[int, int], data: Path | None, count: int
) -> Iterable[tuple[str, NDArray[np.float32], Sample | None]]:
    if data is None:
        for seed in range(_PATTERNS):
            yield f"test pattern {seed}", probe(size_hw, seed)[0], None
        return
    samples = [sample for group in validation(data).values() for sample in group]
    if not samples:
        raise ExportError(f"nothing to compare on in {data}: expected people/val or coco/ there")
    for sample in spread(samples, count):
        yield sample.image.name, letterbox(sample.read().image, size_hw)[None].astype("f4"), sample


def _answer(model: keras.Model, image: NDArray, previous: NDArray) -> NDArray[np.float32]:
    return ops.convert_to_numpy(model({"image": image, "previous": previous}, training=False))
