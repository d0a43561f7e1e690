"""How the weights move: AdamW with a slower encoder, a warm-up, a cosine, a running average."""

from typing import TypeAlias

import keras

from train.config import TrainConfig

Tensor: TypeAlias = keras.KerasTensor


@keras.saving.register_keras_serializable("train")
class TwoSpeedAdamW(keras.optimizers.AdamW):
    """AdamW whose steps in the encoder are a fraction of those elsewhere.

    Scaling gradients would not do it: Adam divides them by their own size.
    """

    def __init__(self, *args: object, encoder_rate: float = 1.0, **kwargs: object):
        super().__init__(*args, **kwargs)
        self.encoder_rate = encoder_rate

    def build(self, variables: list[keras.Variable]) -> None:
        """Note which variables are the encoder's: later Keras hands over bare tensors."""
        super().build(variables)
        self.rates = [
            self.encoder_rate if variable.path.startswith(("stem_", "block")) else 1.0
            for variable in variables
        ]

    def update_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor) -> None:
        """Take AdamW's step, shortened in the encoder."""
        rate = self.rates[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * rate)

    def get_config(self) -> dict:
        """Describe the optimizer, so that a checkpoint can build it again."""
        return {**super().get_config(), "encoder_rate": self.encoder_rate}


def build_optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """Build the optimizer of a run."""
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=config.steps - config.warmup_steps,
        warmup_target=config.learning_rate,
        warmup_steps=config.warmup_steps,
    )
    return TwoSpeedAdamW(
        schedule,
        weight_decay=config.weight_decay,
        encoder_rate=config.encoder_rate,
        use_ema=True,
        ema_momentum=config.average,
    )
