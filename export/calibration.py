"""Frames that show the quantization what values flow through a network."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from export.to_int8 import Inputs
from stream.backends import open_backend
from train.collection import training
from train.letterbox import letterbox
from train.score import spread


def frames(network: Path, data: Path, count: int, size_hw: tuple[int, int]) -> Iterator[Inputs]:
    """`count` training pictures, each as a first frame, then with the matte of itself before it."""
    with closing(open_backend(network)) as backend:
        backend.fit((float(size_hw[0]), float(size_hw[1])))
        for sample in spread(training(data, hard_repeats=1).samples, count):
            image = letterbox(sample.read().image, size_hw)[None].astype(np.float32)
            previous = np.zeros((1, *size_hw, 1), np.float32)
            yield {"image": image, "previous": previous}
            yield {"image": image, "previous": backend.infer(image, previous).copy()}
