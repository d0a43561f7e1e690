"""Samples → batches for keras.Model.fit, each one reproducible from (seed, epoch, index)."""

import keras
import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from train.augment import add_cutout, augment, cutout_of, occlude, onto_room
from train.collection import Collection
from train.config import TrainConfig
from train.memory import previous
from train.sample import Example, Plane, Sample, read_rgb, read_rgba

Inputs = dict[str, NDArray[np.float32]]
Batch = tuple[Inputs, NDArray[np.float32]]

MATTES = 1 << 32  # no epoch has this number: the mattes of a batch draw from a seed of their own


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
        """Inputs, image (N, S, S, 3) and previous (N, S, S, 1), and truths (N, S, S, 2).

        A truth is alpha and weight; all are float32.
        """
        first = (self.round * len(self) + step) * self.config.batch
        examples = [self.example(first + i) for i in range(self.config.batch)]
        return batch(examples, self._mattes_before(examples, first))

    def on_epoch_end(self) -> None:
        """Go on to the next round."""
        self.round += 1

    def example(self, number: int) -> Example:
        """Make the run's example of that number."""
        samples = self.collection.samples
        epoch, index = divmod(number, len(samples))
        order = default_rng((self.config.seed, epoch)).permutation(len(samples))
        rng = default_rng((self.config.seed, epoch, index))
        staged = self._staged(samples[order[index]], rng)
        return augment(staged, self.config.size, rng, self.config.augment)

    def _mattes_before(self, examples: list[Example], first: int) -> list[Plane]:
        """For each example the matte of the frame before; sometimes it is its neighbor's."""
        masks = [example.mask for example in examples]
        rng = default_rng((self.config.seed, MATTES, first))
        strangers = [*masks[1:], masks[0]]
        return [previous(mask, other, rng) for mask, other in zip(masks, strangers, strict=True)]

    def _staged(self, sample: Sample, rng: Generator) -> Example:
        """Sometimes move people to another room, or put somebody more into the picture."""
        config, example = self.config, sample.read()
        rooms, cutouts = self.collection.backgrounds, self.collection.cutouts
        if sample.is_cut_out and rooms and rng.random() < config.onto_room:
            example = onto_room(example, read_rgb(rooms[rng.integers(len(rooms))]), rng)
        empty = sample.mask is None and not sample.people
        if empty and cutouts and rng.random() < config.add_cutout:
            return add_cutout(example, read_rgba(cutouts[rng.integers(len(cutouts))]), rng)
        traced = self.collection.traced
        if traced and rng.random() < config.add_person:
            person = cutout_of(traced[rng.integers(len(traced))].read())
            example = example if person is None else add_cutout(example, person, rng)
        if rooms and not empty and rng.random() < config.occlude:
            example = occlude(example, read_rgb(rooms[rng.integers(len(rooms))]), rng)
        return example


def batch(examples: list[Example], mattes_before: list[Plane]) -> Batch:
    """Stack examples as the network and its loss want them."""
    full = np.float32(255)
    images = np.stack([example.image for example in examples]).astype(np.float32)
    mattes = np.stack(mattes_before)[..., None].astype(np.float32) / full
    planes = [np.stack([example.mask, example.weight], axis=-1) for example in examples]
    return {"image": images, "previous": mattes}, np.stack(planes).astype(np.float32) / full
