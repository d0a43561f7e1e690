"""Learning from another network's mattes as well as from the truth."""

from functools import partial
from pathlib import Path
from typing import TypeAlias

import keras
from keras import ops

from train import TrainError
from train.losses import matte_loss
from train.unrolled import Unrolled

Tensor: TypeAlias = keras.KerasTensor


@keras.saving.register_keras_serializable("train")
class Taught(Unrolled):
    """A network that asks its teacher about every batch that it learns from."""

    def taught_by(self, teacher: keras.Model) -> None:
        """Take this teacher; it is not part of the network and not saved with it."""
        # A partial, because a model kept as it is would become a layer of this one.
        self.soft_truth = partial(teacher, training=False)
        self.asked = [tensor.name for tensor in teacher.inputs]

    def compute_loss(
        self,
        x: dict[str, Tensor],
        y: Tensor,
        y_pred: Tensor,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Append the teacher's matte to the truth y (N, H, W, 2); the names are Keras's."""
        inputs = {name: x[name] for name in self.asked}
        soft = ops.cast(ops.stop_gradient(self.soft_truth(inputs)), y.dtype)
        y = ops.concatenate([y, soft], axis=-1)  # (N, H, W, 3)
        return super().compute_loss(x, y, y_pred, sample_weight, training)


@keras.saving.register_keras_serializable("train")
class TaughtLoss(keras.losses.Loss):
    """The loss against the truth, mixed with the one against the teacher's matte.

    Distillation (Hinton et al. 2015) with a sigmoid in the softmax's place: where the teacher is
    unsure, at hair and hands, its matte says how much, which a hard mask cannot. Pixels whose truth
    is unknown stay out of both terms.
    """

    def __init__(self, teacher_weight: float, **kwargs: object):
        super().__init__(**{"name": "taught_loss", **kwargs})
        self.teacher_weight = teacher_weight

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One number a picture; y_true is (N, H, W, 3): alpha, weight, the teacher's alpha."""
        known, soft = y_true[..., 1:2], y_true[..., 2:]
        hard_loss = matte_loss(y_true[..., :2], y_pred)
        soft_loss = matte_loss(ops.concatenate([soft, known], axis=-1), y_pred)
        return (1 - self.teacher_weight) * hard_loss + self.teacher_weight * soft_loss

    def get_config(self) -> dict:
        """Describe the loss, so that a checkpoint can build it again."""
        return {**super().get_config(), "teacher_weight": self.teacher_weight}


def taught(model: keras.Model, teacher: Path) -> Taught:
    """The same network, layer by layer, with the teacher of that file. Raises TrainError."""
    pupil = Taught(model.input, model.output, name=model.name)
    pupil.taught_by(open_teacher(teacher))
    return pupil


def open_teacher(path: Path) -> keras.Model:
    """Load a .keras network that sees what the one in training sees, or its image alone.

    Raises TrainError for what is no such network.
    """
    try:
        teacher = keras.models.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise TrainError(f"cannot open the teacher {path}: {error}") from error
    inputs = {tensor.name: tensor for tensor in teacher.inputs}
    if not {"image"} <= set(inputs) <= {"image", "previous"}:
        raise TrainError(
            f"{path} cannot teach: it takes {sorted(inputs)}, expected image and previous"
        )
    if teacher.output.shape[-1:] != (1,):
        raise TrainError(f"{path} cannot teach: it gives {teacher.output.shape}, no alpha")
    return keras.Model(inputs, teacher.output)
