"""A whole run on a handful of pictures: it ends with a network, and can be resumed."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="requirements-train.txt is not installed")

import keras
import tensorflow as tf

from train import TrainError, main
from train.collection import census, training, validation
from train.config import TrainConfig
from train.dataset import Batches
from train.journal import CHECKPOINT, CURVES, Journal, seconds
from train.metrics import SCORES

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")


@pytest.fixture(scope="module", autouse=True)
def eager():
    """Three steps of a tiny network are done long before TensorFlow has traced the first."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def write_pair(folder: Path, stem: str, rng: np.random.Generator) -> None:
    mask = np.zeros((48, 64), np.uint8)
    cv2.circle(mask, [int(v) for v in rng.integers(16, 44, 2)], 14, 255, -1)
    picture = np.where(mask[..., None] > 0, (180, 190, 230), (70, 60, 50)).astype(np.uint8)
    for name, plane in (("images", picture), ("masks", mask)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name / f"{stem}.png"), plane)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Twelve pictures to learn from, four to judge on, a room, a cut-out."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for number in range(12):
        write_pair(root / "people" / "train", f"voc_person-{number}", rng)
    for group in ("portrait_apm", "supervisely", "friends"):
        write_pair(root / "people" / "val", f"{group}-1", rng)
    (root / "backgrounds" / "rooms").mkdir(parents=True)
    cv2.imwrite(str(root / "backgrounds/rooms/room.png"), np.full((50, 50, 3), 90, np.uint8))
    (root / "cutouts").mkdir()
    cv2.imwrite(str(root / "cutouts" / "1.png"), np.full((40, 30, 4), 255, np.uint8))
    return root


def config_for(data: Path, run: Path, **changes) -> TrainConfig:
    tiny = TrainConfig(
        data=data,
        run=run,
        steps=3,
        steps_per_round=1,
        judge_every=2,
        batch=2,
        size=32,
        judge_size=32,
        width=0.25,
        depth=0.3,
        imagenet=False,
        warmup_steps=1,
        norm_batches=2,
        workers=1,
    )
    return dataclasses.replace(tiny, **changes)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory) -> tuple[TrainConfig, main.Trained]:
    config = config_for(data, tmp_path_factory.mktemp("runs") / "whole")
    return config, main.main(config)


def test_a_run_ends_with_a_network_and_its_scores(finished):
    config, trained = finished
    model = keras.models.load_model(trained.network)
    assert not model.compiled
    assert set(trained.scores) == {"portraits", "people", "friends"}
    assert set(trained.scores["people"]) == set(SCORES)
    assert json.loads((config.run / "scores.json").read_text()) == trained.scores


def test_a_run_leaves_what_made_it(finished):
    config, _ = finished
    record = json.loads((config.run / "config.json").read_text())
    assert record["config"]["steps"] == 3
    assert record["pictures"] == {
        "backgrounds/rooms": 1,
        "cutouts": 1,
        "people/train/voc_person": 12,
    }
    lines = [json.loads(line) for line in (config.run / CURVES).read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert ["scores" in line for line in lines] == [False, True, False]
    assert seconds(config.run) == pytest.approx(sum(line["seconds"] for line in lines))


def test_a_resumed_run_equals_one_that_was_not_stopped(finished, data, tmp_path, monkeypatch):
    config = config_for(data, tmp_path / "stopped")
    written = []

    def stop_after_two(journal, epoch, logs=None, really=Journal.on_epoch_end):
        really(journal, epoch, logs)
        written.append(epoch)
        if len(written) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "on_epoch_end", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            main.main(config)
    trained = main.main(dataclasses.replace(config, resume=True))
    stretches = json.loads((config.run / "config.json").read_text())["stretches"]
    assert [stretch["from_step"] for stretch in stretches] == [0, 2]
    whole = keras.models.load_model(finished[1].network)
    resumed = keras.models.load_model(trained.network)
    for wanted, got in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_a_run_is_not_overwritten(finished):
    with pytest.raises(TrainError, match="holds a run: resume it, or name another folder"):
        main.main(finished[0])


def test_there_must_be_something_to_resume(data, tmp_path):
    with pytest.raises(TrainError, match="nothing to resume"):
        main.main(config_for(data, tmp_path / "new", resume=True))


def test_a_run_folder_that_cannot_be_made_is_named(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainError, match=r"cannot write .*file/run/config.json"):
        main.main(config_for(data, tmp_path / "file" / "run"))


def test_a_checkpoint_of_another_network_is_refused(finished):
    other = dataclasses.replace(finished[0], resume=True, width=0.5)
    with pytest.raises(TrainError, match="is no checkpoint of this network"):
        main.main(other)


def test_a_run_can_start_from_a_finished_network(finished):
    config, trained = finished
    begun = main.start(dataclasses.replace(config, network=trained.network))
    ended = keras.models.load_model(trained.network, compile=False)
    for ours, theirs in zip(begun.get_weights(), ended.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


def test_layers_without_a_namesake_start_anew(finished):
    config, trained = finished
    deeper = main.start(dataclasses.replace(config, network=trained.network, depth=1.0))
    ended = keras.models.load_model(trained.network, compile=False)
    theirs = {layer.name for layer in ended.layers if layer.weights}
    assert theirs < {layer.name for layer in deeper.layers}
    for name in ("stem_conv", "logits"):
        for ours, its in zip(
            deeper.get_layer(name).get_weights(), ended.get_layer(name).get_weights(), strict=True
        ):
            assert np.array_equal(ours, its)


def test_what_is_no_network_to_start_from_is_named(finished, tmp_path):
    (tmp_path / "x.keras").write_text("no network")
    with pytest.raises(TrainError, match=r"cannot start from .*x.keras"):
        main.start(dataclasses.replace(finished[0], network=tmp_path / "x.keras"))
    dense = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    dense.save(tmp_path / "dense.keras")
    with pytest.raises(TrainError, match="none of its layers is one of this network's"):
        main.start(dataclasses.replace(finished[0], network=tmp_path / "dense.keras"))


def test_the_first_loss_that_is_no_number_stops(data, tmp_path):
    journal = Journal(config_for(data, tmp_path), dict)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    journal.set_model(model)
    with pytest.raises(TrainError, match=r"the loss became nan in step 0 \(batch 3"):
        journal.on_train_batch_end(3, {"loss": float("nan")})


def test_a_failed_write_leaves_the_checkpoint_that_was_there(finished, data, monkeypatch):
    from train import journal

    checkpoint = finished[0].run / CHECKPOINT
    before = checkpoint.read_bytes()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])

    def full(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", full)
    with pytest.raises(TrainError, match="No space left"):
        journal.save(model, checkpoint)
    assert checkpoint.read_bytes() == before
    assert sorted(p.name for p in checkpoint.parent.glob(".*")) == []


def differ(one, other) -> bool:
    return not np.array_equal(one.image, other.image)


def test_examples_depend_on_seed_epoch_and_index_only(data):
    collection = training(data, hard_repeats=1)
    config = config_for(data, Path("unused"))
    one, two = Batches(collection, config), Batches(collection, config)
    numbers = [20, 3, 3, 0]
    for number in numbers:
        for plane, same in zip(one.example(number), two.example(number), strict=True):
            np.testing.assert_array_equal(plane, same)
    other = Batches(collection, dataclasses.replace(config, seed=2))
    assert any(differ(one.example(n), other.example(n)) for n in numbers)
    again = 3 + len(collection.samples)  # the same place in the next epoch
    assert differ(one.example(3), one.example(again))


def test_rounds_go_on_where_the_last_one_ended(data):
    collection, config = training(data, hard_repeats=1), config_for(data, Path("unused"))
    batches, later = Batches(collection, config), Batches(collection, config, first_round=1)
    batches.on_epoch_end()
    (inputs, truths), (same_inputs, same_truths) = batches[0], later[0]
    pairs = zip((*inputs.values(), truths), (*same_inputs.values(), same_truths), strict=True)
    for got, wanted in pairs:
        np.testing.assert_array_equal(got, wanted)
    images = inputs["image"]
    assert images.shape == (2, 32, 32, 3)
    assert inputs["previous"].shape == (2, 32, 32, 1)
    assert truths.shape == (2, 32, 32, 2)
    assert images.dtype == inputs["previous"].dtype == truths.dtype == np.float32
    assert truths.max() <= 1 < images.max() <= 255


@pytest.mark.slow
def test_processes_prepare_the_same_batches_as_threads(data, tmp_path):
    threads = main.main(config_for(data, tmp_path / "threads"))
    processes = main.main(
        config_for(data, tmp_path / "processes", worker_processes=True, workers=2)
    )
    one, two = (keras.models.load_model(t.network).get_weights() for t in (threads, processes))
    for wanted, got in zip(one, two, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_an_epoch_shows_every_sample_once(data):
    collection = training(data, hard_repeats=1)
    assert len(collection.samples) == 13
    assert sum(census(collection, data).values()) == 14  # and the cut-out


def test_groups_without_a_name_keep_their_prefix(data):
    assert {name: len(group) for name, group in validation(data).items()} == {
        "portraits": 1,
        "people": 1,
        "friends": 1,
    }


def test_nothing_to_learn_from_is_an_error(tmp_path):
    with pytest.raises(TrainError, match="no people under"):
        training(tmp_path, hard_repeats=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 100}, "size 100: must be a multiple of 32"),
        ({"batch": 0}, "batch 0: must be at least 1"),
        ({"steps": 150}, "whole rounds of 100 steps"),
        ({"warmup_steps": 10_000}, "must be fewer than 10000"),
        ({"average": 1.0}, "less than 1"),
        ({"onto_room": 1.5}, "must lie between 0 and 1"),
        ({"width": 0.5}, "ImageNet weights fit width 1"),
    ],
)
def test_what_cannot_work_is_rejected(change, message):
    with pytest.raises(TrainError, match=message):
        TrainConfig(**change)
