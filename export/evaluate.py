"""Scores of a network that is run as the app runs it: its reader, its engine, its letterbox."""

import json
import logging
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export import ExportError
from export.config import EvaluateConfig
from stream import StreamError
from stream.backends import open_backend
from stream.matte import MatteRefiner
from stream.segmenter import Segmenter
from stream.sources.pictures import read_picture
from train import TrainError
from train.metrics import SCORES, Alpha, scores
from train.sample import Sample, pairs

Row = dict[str, float]
MatteOf = Callable[[Path], Alpha]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """Scores of every picture and their means."""

    network: Path
    rows: dict[str, Row]
    """By picture name."""

    @property
    def means(self) -> Row:
        """Each score's mean over the pictures."""
        rows = self.rows.values()
        return {name: float(np.mean([row[name] for row in rows])) for name in SCORES}

    def table(self) -> str:
        """The means, as a table for people."""
        head = "pictures  " + "  ".join(f"{name:>10}" for name in SCORES)
        means = self.means
        return f"{head}\n{len(self.rows):8d}  " + "  ".join(f"{means[s]:10.4f}" for s in SCORES)


def main(config: EvaluateConfig) -> Evaluation:
    """Score the network on a folder of pictures and one of masks."""
    try:
        samples = pairs(config.images, config.masks)
        evaluation = evaluate(config.network, samples)
    except (TrainError, StreamError) as error:
        raise ExportError(str(error)) from error
    if config.json:
        _write(evaluation, config.json)
    return evaluation


def evaluate(network: Path, samples: Iterable[Sample]) -> Evaluation:
    """Run the network on every sample's picture and compare."""
    with closing(open_backend(network)) as backend:
        segmenter = Segmenter(backend)

        def matte_of(path: Path) -> Alpha:
            frame = read_picture(path).frame
            segmenter.forget()
            return MatteRefiner().refine(segmenter.segment(frame), frame)

        rows = {sample.image.name: score(sample, matte_of) for sample in samples}
    return Evaluation(network, rows)


def score(sample: Sample, matte_of: MatteOf) -> Row:
    """Compare the matte of one picture with its truth."""
    _, mask, weight = sample.read()
    alpha = matte_of(sample.image)
    if alpha.shape != mask.shape:
        raise ExportError(
            f"{sample.image} is shown as {alpha.shape[1]}×{alpha.shape[0]}, but its mask is "
            f"{mask.shape[1]}×{mask.shape[0]}"
        )
    return scores(alpha, mask / np.float32(255), weight > 0)


def _write(evaluation: Evaluation, path: Path) -> None:
    scored = {"network": str(evaluation.network), "pictures": len(evaluation.rows)}
    record = {**scored, "means": evaluation.means, "rows": evaluation.rows}
    try:
        path.write_text(json.dumps(record, indent=2) + "\n")
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error}") from error
