"""What can be asked of training, with every default; the text under a field is its help."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from train import TrainError

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS = get_args(Precision)

COUNTS = (
    "steps",
    "steps_per_round",
    "judge_every",
    "judge_pictures",
    "batch",
    "norm_batches",
    "workers",
    "hard_repeats",
    "devices",
)
RATES = ("learning_rate", "width")
FROM_ZERO = ("seed", "encoder_rate", "weight_decay", "frozen_blocks")
SHARES = ("onto_room", "add_cutout", "add_person", "occlude", "augment", "teacher_weight")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Choices of one training run."""

    data: Path = Path("data")
    """Folder with coco/, people/train and people/val (images/ and masks/ each), cutouts/ and
    backgrounds/; whatever is there is used."""

    run: Path = Path("runs/person")
    """Folder of this run: configuration, curves, checkpoint, scores, network."""

    resume: bool = False
    """Go on from the checkpoint in the run folder."""

    seed: int = 1
    """Decides everything random: weights, order, augmentation."""

    steps: int = 10_000
    """Batches to learn from in all."""

    steps_per_round: int = 100
    """Batches between two checkpoints."""

    judge_every: int = 10
    """Rounds between two looks at the validation pictures."""

    judge_pictures: int = 40
    """Pictures of each validation group looked at then; all of them at the end."""

    batch: int = 16
    """Pictures in a batch."""

    size: int = 224
    """Side of the training squares, in pixels, a multiple of 32."""

    judge_size: int = 256
    """Side of the squares for validation, in pixels, a multiple of 32."""

    width: float = 1.0
    """Factor on the channels of every layer."""

    depth: float = 1.0
    """Factor on the blocks of every stage of the encoder, at most 1."""

    imagenet: bool = True
    """Start the encoder from ImageNet weights (width 1 only), its norms frozen; =false starts it
    from chance."""

    detector: Path | None = None
    """Start the encoder from the backbone of this EfficientDet-Lite0 (.tflite with 8-bit weights),
    which learned COCO's people; a network given as well lends the decoder only."""

    frozen_blocks: int = 0
    """Blocks of the encoder, from its first, that are not trained, the stem with them: the first
    five of a network tuned before can rest, and a step takes a quarter less time."""

    network: Path | None = None
    """Start from the weights of this .keras network, such as models/person.keras, wherever a layer
    of the same name has the same shape: to tune it further, at a lower learning rate."""

    teacher: Path | None = None
    """Learn from the mattes of this .keras network too, on the same pictures: for a small network
    whose teacher is larger. It costs the teacher's forward pass in every step."""

    teacher_weight: float = 0.5
    """How much the teacher's matte counts, against the truth: 0 not at all, 1 alone."""

    learning_rate: float = 1.5e-3
    """Highest learning rate, of the decoder; reached after the warm-up, then a cosine to zero."""

    encoder_rate: float = 0.3
    """Factor on the learning rate for the encoder, which already knows what pictures look like."""

    warmup_steps: int = 300
    """Batches in which the learning rate rises from zero."""

    weight_decay: float = 0.01
    """AdamW's weight decay."""

    average: float = 0.999
    """Momentum of the running average of the weights, which is what is judged and saved."""

    norm_batches: int = 30
    """Batches on which the averaged network's normalization statistics are measured."""

    hard_repeats: int = 3
    """How often an epoch shows each picture of COCO and Pascal VOC: they are few, and the hardest:
    small people, animals, hands without a head."""

    onto_room: float = 0.15
    """Chance that the people of a picture with a mask file are moved to another background."""

    add_cutout: float = 0.5
    """Chance that somebody is pasted into a picture without people."""

    add_person: float = 0.15
    """Chance that the people of one picture with a mask file are pasted into another picture."""

    occlude: float = 0.12
    """Chance that a part of a picture without people is laid over people."""

    augment: float = 1.0
    """Factor on the chance that a picture is cropped, tilted, or spoiled as by a poor camera: a
    network that has learned with all of it gains from an end with less, nearer to what it will
    see."""

    workers: int = 2
    """Threads or processes that prepare batches."""

    worker_processes: bool = False
    """Prepare batches in processes instead of threads: for many processors and a fast GPU."""

    precision: Precision = "float32"
    """What the network computes in while it learns; weights, loss and the saved network stay
    float32. bfloat16 and float16 are for GPUs: on two cores a step takes 0.67 s in bfloat16 and
    0.48 s in float32."""

    devices: int = 1
    """GPUs that share every batch, on TensorFlow or JAX (KERAS_BACKEND=jax); the batch must be a
    multiple. Norms and loss are those of the whole batch. Several machines are not offered."""

    tensorboard: bool = False
    """Write loss and scores for TensorBoard, too, into tensorboard/ in the run folder; needs
    tensorboardX."""

    def __post_init__(self) -> None:
        """Reject what cannot work."""
        for name in ("size", "judge_size"):
            if getattr(self, name) < 32 or getattr(self, name) % 32:
                raise TrainError(f"{name} {getattr(self, name)}: must be a multiple of 32")
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise TrainError(f"{name} {getattr(self, name)}: must be at least 1")
        for name in RATES:
            if not 0 < getattr(self, name) < math.inf:
                raise TrainError(f"{name} {getattr(self, name)}: must be above 0")
        for name in FROM_ZERO:
            if not 0 <= getattr(self, name) < math.inf:
                raise TrainError(f"{name} {getattr(self, name)}: must be 0 or more")
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise TrainError(f"{name} {getattr(self, name)}: must lie between 0 and 1")
        if self.precision not in PRECISIONS:
            raise TrainError(f"precision {self.precision}: must be one of {', '.join(PRECISIONS)}")
        if self.batch % self.devices:
            raise TrainError(f"batch {self.batch}: {self.devices} devices cannot share it evenly")
        if self.steps % self.steps_per_round:
            raise TrainError(
                f"steps {self.steps}: must be whole rounds of {self.steps_per_round} steps"
            )
        if not 0 < self.warmup_steps < self.steps:
            raise TrainError(
                f"warmup_steps {self.warmup_steps}: must be 1 or more, and fewer than {self.steps}"
            )
        if not 0 <= self.average < 1:
            raise TrainError(f"average {self.average}: must be at least 0 and less than 1")
        if self.imagenet and self.width != 1.0:
            raise TrainError("ImageNet weights fit width 1 only: give --imagenet=false")
        if self.detector is not None and not self.imagenet:
            raise TrainError("a detector's norms are frozen as ImageNet's are: leave --imagenet on")
        if not 0 < self.depth <= 1:
            raise TrainError(f"depth {self.depth}: must be above 0 and at most 1")
