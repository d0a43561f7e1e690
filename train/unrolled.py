"""Learning from the network's own mattes, as it meets them in a call."""

from typing import TypeAlias

import keras
from keras import ops

Tensor: TypeAlias = keras.KerasTensor


@keras.saving.register_keras_serializable("train")
class Unrolled(keras.Model):
    """A network that, in training, sees every second picture of a batch twice.

    What it answers the first time is the second one's `previous`, as in a call where nothing moves.
    Spoiled truths alone taught it to believe what it had once mistaken for a person: a faint patch
    of wall grew from frame to frame. Learning from one's own mistakes is what DAgger does (Ross et
    al. 2011, arXiv:1011.0686), and scheduled sampling (Bengio et al. 2015, arXiv:1506.03099).
    """

    def call(
        self, inputs: dict[str, Tensor], training: bool | None = None, mask: object = None
    ) -> Tensor:
        """As the network itself, but for `previous` (N, H, W, 1); the names are Keras's."""
        if training:
            inputs = {**inputs, "previous": self._seen_before(inputs)}
        return super().call(inputs, training=training, mask=mask)

    def _seen_before(self, inputs: dict[str, Tensor]) -> Tensor:
        twice = {name: each[::2] for name, each in inputs.items()}
        own = ops.stop_gradient(super().call(twice, training=False))
        given = inputs["previous"]
        is_second = ops.reshape(ops.arange(ops.shape(given)[0]) % 2 == 0, (-1, 1, 1, 1))
        return ops.where(is_second, ops.repeat(own, 2, axis=0)[: ops.shape(given)[0]], given)


def unrolled(model: keras.Model) -> Unrolled:
    """The same network, layer by layer."""
    return Unrolled(model.input, model.output, name=model.name)
