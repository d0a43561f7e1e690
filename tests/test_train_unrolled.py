"""Learning from one's own mattes: which pictures are seen twice, and what is learned from."""

import pytest

pytest.importorskip("tensorflow", reason="requirements-train.txt is not installed")

import keras
import numpy as np
from keras import layers, ops

from train.unrolled import unrolled


def believer() -> keras.Model:
    """Answers how much it is shown, plus what it is told was there before."""
    image = keras.Input((None, None, 1), name="image")
    previous = keras.Input((None, None, 1), name="previous")
    share = layers.Conv2D(1, 1, use_bias=False, name="share")
    alpha = layers.Add()([image, share(previous)])
    model = keras.Model({"image": image, "previous": previous}, alpha)
    model.get_layer("share").set_weights([np.full((1, 1, 1, 1), 0.5, np.float32)])
    return model


def inputs(pictures: int) -> dict[str, np.ndarray]:
    numbers = np.arange(1.0, pictures + 1, dtype=np.float32)
    image = np.broadcast_to(numbers[:, None, None, None], (pictures, 2, 2, 1))
    return {"image": np.array(image), "previous": np.full_like(image, 8.0)}


@pytest.mark.parametrize("pictures", [1, 2, 5])
def test_every_second_picture_is_seen_twice_in_training_every_fourth_thrice(pictures) -> None:
    model = unrolled(believer())
    told = ops.convert_to_numpy(model(inputs(pictures), training=True))[:, 0, 0, 0]
    for number, answer in enumerate(told):
        wanted, looks = 8.0, {0: 3, 2: 2}.get(number % 4, 1)
        for _ in range(looks):
            wanted = (number + 1) + 0.5 * wanted
        assert answer == pytest.approx(wanted)


def test_the_network_in_use_sees_pictures_once() -> None:
    for given in ({"training": False}, {}):
        alpha = unrolled(believer())(inputs(2), **given)
        assert ops.convert_to_numpy(alpha)[:, 0, 0, 0] == pytest.approx([5, 6])


def test_the_first_look_is_a_given_and_not_learned_from() -> None:
    model = unrolled(believer())
    model.compile(keras.optimizers.SGD(1.0), loss=lambda y, alpha: ops.mean(alpha))
    model.fit(inputs(1), np.zeros((1, 2, 2, 1)), verbose=0)
    # It is told 5, then 3.5: that is d alpha / d share. Through the looks before, it were more.
    assert model.get_layer("share").get_weights()[0].item() == pytest.approx(0.5 - 3.5)
