"""Distillation: what the teacher's matte changes, and what it must leave alone."""

import pytest

pytest.importorskip("tensorflow", reason="requirements-train.txt is not installed")

import keras
import numpy as np
from keras import layers, ops

from train import TrainError
from train.losses import matte_loss
from train.teacher import TaughtLoss, open_teacher, taught


def tiny(seed: int = 1) -> keras.Model:
    """Takes and gives what the network does, and is done in milliseconds."""
    keras.utils.set_random_seed(seed)
    image, previous = (
        keras.Input((None, None, 3), name="image"),
        keras.Input((None, None, 1), name="previous"),
    )
    x = layers.Concatenate()([layers.Rescaling(1 / 255)(image), previous])
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x))
    alpha = layers.Conv2D(1, 1, activation="sigmoid")(x)
    return keras.Model({"image": image, "previous": previous}, alpha)


def inputs(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = rng.uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    return {"image": image, "previous": np.zeros((2, 32, 32, 1), np.float32)}


def truth() -> np.ndarray:
    mask = np.zeros((2, 32, 32, 1), np.float32)
    mask[:, 8:24, 8:24] = 1
    return np.concatenate([mask, np.ones_like(mask)], axis=-1)


@pytest.fixture
def teacher_file(tmp_path):
    path = tmp_path / "teacher.keras"
    tiny(seed=7).save(path)
    return path


def lesson(share: float, teacher_file) -> tuple[float, keras.Model, keras.Model]:
    plain = tiny()
    pupil = taught(plain, teacher_file)
    pupil.compile("sgd", loss=TaughtLoss(share))
    loss = pupil.compute_loss(inputs(), ops.convert_to_tensor(truth()), pupil(inputs()))
    return float(loss), plain, open_teacher(teacher_file)


def test_a_teacher_of_no_weight_changes_nothing(teacher_file):
    loss, plain, _ = lesson(0.0, teacher_file)
    wanted = np.mean(ops.convert_to_numpy(matte_loss(truth(), plain(inputs()))))
    assert loss == pytest.approx(float(wanted), abs=1e-6)


def test_a_teacher_alone_is_the_truth(teacher_file):
    loss, plain, teacher = lesson(1.0, teacher_file)
    soft = np.concatenate([ops.convert_to_numpy(teacher(inputs())), truth()[..., 1:]], axis=-1)
    wanted = np.mean(ops.convert_to_numpy(matte_loss(soft, plain(inputs()))))
    assert loss == pytest.approx(float(wanted), abs=1e-6)


def test_the_terms_are_mixed_by_the_weight(teacher_file):
    none, half, alone = (lesson(share, teacher_file)[0] for share in (0.0, 0.25, 1.0))
    assert half == pytest.approx(0.75 * none + 0.25 * alone, abs=1e-5)


def test_pixels_without_a_truth_stay_out_of_both_terms():
    planes = np.concatenate([truth(), truth()[..., :1]], axis=-1)
    planes[:, :10, :, 1] = 0
    alpha = truth()[..., :1].copy()
    wrong = alpha.copy()
    wrong[:, :10] = 1 - wrong[:, :10]
    loss = TaughtLoss(0.5)
    assert float(loss(planes, alpha)) == pytest.approx(float(loss(planes, wrong)), abs=1e-6)


def test_the_teacher_stays_as_it_is_and_out_of_the_checkpoint(teacher_file, tmp_path):
    pupil = taught(tiny(), teacher_file)
    pupil.compile("adam", loss=TaughtLoss(0.5), run_eagerly=True)
    before = [np.array(w) for w in pupil.soft_truth.func.get_weights()]
    pupil.fit(inputs(), truth(), batch_size=2, epochs=2, verbose=0)
    after = pupil.soft_truth.func.get_weights()
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert len(pupil.weights) == len(tiny().weights)
    pupil.save(tmp_path / "last.keras")
    again = tiny()
    again.load_weights(tmp_path / "last.keras")
    for ours, theirs in zip(again.get_weights(), pupil.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


def test_a_pupil_comes_to_agree_with_its_teacher(tmp_path):
    """The truth says the contrary of the teacher everywhere, and its share is nothing."""
    image = keras.Input((None, None, 3), name="image")
    bright = layers.Rescaling(1 / 255)(ops.mean(image, axis=-1, keepdims=True))
    keras.Model(image, bright).save(tmp_path / "bright.keras")  # it does not look back: it may
    left_bright = inputs()
    left_bright["image"][:] = 10
    left_bright["image"][:, :, :16] = 250
    contrary = truth()
    contrary[:, :, :16, 0], contrary[:, :, 16:, 0] = 0, 1
    pupil = taught(tiny(), tmp_path / "bright.keras")
    pupil.compile(keras.optimizers.Adam(0.1), loss=TaughtLoss(1.0), run_eagerly=True)
    pupil.fit(left_bright, contrary, epochs=40, verbose=0)
    alpha = ops.convert_to_numpy(pupil(left_bright, training=True))
    assert alpha[:, :, :12].mean() > 0.9 > 0.1 > alpha[:, :, 20:].mean()


def test_a_teacher_that_wants_more_is_refused(tmp_path):
    image, depth = keras.Input((8, 8, 3), name="image"), keras.Input((8, 8, 1), name="depth")
    both = layers.Concatenate()([image, depth])
    keras.Model([image, depth], layers.Conv2D(1, 1)(both)).save(tmp_path / "other.keras")
    with pytest.raises(
        TrainError, match=r"other.keras cannot teach: it takes \['depth', 'image'\]"
    ):
        open_teacher(tmp_path / "other.keras")


def test_what_is_no_network_is_no_teacher(tmp_path):
    (tmp_path / "x.keras").write_text("no network")
    for name in ("x.keras", "missing.keras"):
        with pytest.raises(TrainError, match=f"cannot open the teacher .*{name}"):
            open_teacher(tmp_path / name)


def test_what_is_no_alpha_is_no_teacher(tmp_path):
    image = keras.Input((None, None, 3), name="image")
    keras.Model(image, layers.ReLU()(image)).save(tmp_path / "picture.keras")
    with pytest.raises(TrainError, match=r"cannot teach: it gives .*, no alpha"):
        open_teacher(tmp_path / "picture.keras")
