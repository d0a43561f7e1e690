"""Learning from the network's own mattes, as it meets them in a call."""

from typing import TypeAlias

import keras
from keras import ops

Tensor: TypeAlias = keras.KerasTensor


_SEEN_BEFORE = 4, 2  # every fourth picture once more than every second one


@keras.saving.register_keras_serializable("train")
class Unrolled(keras.Model):
    """A network that, in training, sees every second picture of a batch more than once.

    What it answers the first time is the next one's `previous`, as in a call where nothing moves.
    Spoiled truths alone taught it to believe what it had once mistaken for a person: a faint patch
    of wall grew from frame to frame. Learning from one's own mistakes is what DAgger does (Ross et
    al. 2011, arXiv:1011.0686), and scheduled sampling (Bengio et al. 2015, arXiv:1506.03099).

    Several devices count each its own share: with four pictures on each, or eight, they see the
    same ones again as one device does.
    """

    def call(
        self, inputs: dict[str, Tensor], training: bool | None = None, mask: object = None
    ) -> Tensor:
        """As the network itself, but for `previous` (N, H, W, 1); the names are Keras's."""
        if training:
            for step in _SEEN_BEFORE:
                inputs = {**inputs, "previous": self._seen_before(inputs, step)}
        return super().call(inputs, training=training, mask=mask)

    def _seen_before(self, inputs: dict[str, Tensor], step: int) -> Tensor:
        """`previous`, for every so many pictures what the network itself makes of them."""
        some = {name: each[::step] for name, each in inputs.items()}
        own = ops.stop_gradient(super().call(some, training=False))
        given = inputs["previous"]
        pictures = ops.shape(given)[0]
        is_one = ops.reshape(ops.arange(pictures) % step == 0, (-1, 1, 1, 1))
        return ops.where(is_one, ops.repeat(own, step, axis=0)[:pictures], given)


def unrolled(model: keras.Model) -> Unrolled:
    """The same network, layer by layer."""
    return Unrolled(model.input, model.output, name=model.name)
