"""How good the network is on pictures it has not seen, each letterboxed into a square."""

from collections.abc import Iterable

import keras
import numpy as np

from train.letterbox import letterbox, unletterbox
from train.metrics import Alpha, scores
from train.sample import Sample

Scores = dict[str, float]


def score_groups(
    model: keras.Model, groups: dict[str, list[Sample]], size: int, *, limit: int | None = None
) -> dict[str, Scores]:
    """Score every group, or `limit` pictures spread over each; means over pictures."""
    return {name: score(model, spread(group, limit), size) for name, group in groups.items()}


def score(model: keras.Model, samples: Iterable[Sample], size: int) -> Scores:
    """Average the scores of some samples, at each picture's own size."""
    rows = []
    for sample in samples:
        image, mask, weight = sample.read()
        alpha = predict(model, image, size)
        rows.append(scores(alpha, mask / np.float32(255), weight > 0))
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def predict(model: keras.Model, image: np.ndarray, size: int) -> Alpha:
    """The matte (H, W) of a picture (H, W, 3)."""
    boxed = letterbox(image, (size, size))[None].astype(np.float32)
    inputs = {"image": boxed, "previous": np.zeros_like(boxed[..., :1])}
    alpha = np.asarray(model.predict_on_batch(inputs))[0, :, :, 0]
    return unletterbox(alpha, image.shape[:2])


def spread(samples: list[Sample], limit: int | None) -> list[Sample]:
    """Pick `limit` samples evenly: neighbors in a folder resemble each other."""
    if limit is None or limit >= len(samples):
        return samples
    return [samples[i * len(samples) // limit] for i in range(limit)]
