"""Samples → batches for keras.Model.fit, each one reproducible from (seed, epoch, index)."""

import keras
import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from train.augment import add_cutout, augment, onto_room
from train.collection import Collection
from train.config import TrainConfig
from train.sample import Example, Sample, read_rgb, read_rgba

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


class Batches(keras.utils.PyDataset):
    """The batches of one round after another.

    A round is the stretch of steps between two checkpoints (what Keras calls an epoch); an epoch
    is once through all samples, in an order of its own. Which picture a step sees, and what
    happens to it, depends only on the seed and the step, so a resumed run sees the same.
    """

    def __init__(self, collection: Collection, config: TrainConfig, *, first_round: int = 0):
        super().__init__(
            workers=config.workers,
            use_multiprocessing=config.worker_processes,
            max_queue_size=2 * config.workers + 2,
        )
        self.collection, self.config, self.round = collection, config, first_round

    def __len__(self) -> int:
        return self.config.steps_per_round

    def __getitem__(self, step: int) -> Batch:
        """Images (N, S, S, 3) and truths (N, S, S, 2), alpha and weight, all float32."""
        first = (self.round * len(self) + step) * self.config.batch
        return batch([self.example(first + i) for i in range(self.config.batch)])

    def on_epoch_end(self) -> None:
        """Go on to the next round."""
        self.round += 1

    def example(self, number: int) -> Example:
        """Make the run's example of that number."""
        samples = self.collection.samples
        epoch, index = divmod(number, len(samples))
        order = default_rng((self.config.seed, epoch)).permutation(len(samples))
        rng = default_rng((self.config.seed, epoch, index))
        example = self._staged(samples[order[index]], rng)
        return augment(example, self.config.size, rng)

    def _staged(self, sample: Sample, rng: Generator) -> Example:
        """Sometimes move people to another room, or seat somebody in an empty one."""
        example, rooms, cutouts = (
            sample.read(),
            self.collection.backgrounds,
            self.collection.cutouts,
        )
        if sample.mask is not None and rooms and rng.random() < self.config.onto_room:
            return onto_room(example, read_rgb(rooms[rng.integers(len(rooms))]), rng)
        empty = sample.mask is None and not sample.people
        if empty and cutouts and rng.random() < self.config.add_cutout:
            return add_cutout(example, read_rgba(cutouts[rng.integers(len(cutouts))]), rng)
        return example


def batch(examples: list[Example]) -> Batch:
    """Stack examples as the network and its loss want them."""
    images = np.stack([example.image for example in examples]).astype(np.float32)
    planes = [np.stack([example.mask, example.weight], axis=-1) for example in examples]
    return images, np.stack(planes).astype(np.float32) / np.float32(255)
