"""A whole run on a handful of pictures: it ends with a network, and can be resumed."""

import dataclasses
import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="requirements-train.txt is not installed")

import keras

from train import TrainError, journal, main
from train.collection import census, training, validation
from train.config import TrainConfig
from train.dataset import Batches
from train.journal import CHECKPOINT, CURVES, Journal, seconds
from train.metrics import SCORES

pytestmark = [
    pytest.mark.usefixtures("eager"),
    pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning"),
]


@pytest.fixture(scope="module")
def data(people) -> Path:
    return people


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


def test_a_run_knows_what_its_network_came_from(finished, tmp_path):
    config, trained = finished
    ours = journal.origin(trained.network)
    assert ours["steps"] == 3 and ours["config"]["seed"] == config.seed
    card = {"trained": {"steps": 9, "network_came_from": {"steps": 4}}}
    (tmp_path / "shipped.json").write_text(json.dumps(card))
    assert journal.origin(tmp_path / "shipped.keras") == card["trained"]
    assert journal.origin(tmp_path / "unknown.keras") == {"file": "unknown.keras"}
    assert journal.origin(None) is None


def test_who_goes_on_from_its_own_teacher_is_told_of_it_once(finished, tmp_path):
    config, trained = finished
    both = {"network": trained.network, "teacher": trained.network, "run": tmp_path / "run"}
    journal.open_run(dataclasses.replace(config, **both), {})
    record = json.loads((tmp_path / "run" / journal.CONFIG).read_text())
    assert record["network_came_from"]["steps"] == 3
    assert record["teacher_came_from"] == {"file": "network.keras"}


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
    its_journal = Journal(config_for(data, tmp_path), dict)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    its_journal.set_model(model)
    with pytest.raises(TrainError, match=r"the loss became nan in step 0 \(batch 3"):
        its_journal.on_train_batch_end(3, {"loss": float("nan")})


@contextmanager
def full_disk(room: int):
    """The system refuses to let any file grow beyond so many bytes, as a full disk would."""
    resource = pytest.importorskip("resource", reason="Windows limits no file's size")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_what_was_there(finished):
    run = finished[0].run
    before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert {CHECKPOINT, CURVES, "config.json", "curves.png"} <= {path.name for path in before}
    model, lines = keras.models.load_model(run / "network.keras"), journal.curves(run)
    with full_disk(room=100):
        for write in (
            lambda: journal.save(model, run / CHECKPOINT),
            lambda: journal.write_curves([*lines, lines[-1]], run),
            lambda: journal.write_json({"long": "x" * 1000}, run / "config.json"),
        ):
            with pytest.raises(TrainError, match=r"cannot write .*File too large"):
                write()
    assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_a_run_draws_its_curves(finished):
    picture = cv2.imread(str(finished[0].run / "curves.png"))
    assert picture.shape == (400, 1500, 3)


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


def test_what_a_worker_finds_wrong_is_said_plainly(data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    mask = tmp_path / "data/people/train/masks/voc_person-1.png"
    cv2.imwrite(str(mask), np.zeros((20, 30), np.uint8))
    config = config_for(tmp_path / "data", tmp_path / "run", steps=20, steps_per_round=20)
    with pytest.raises(TrainError, match=r"^.*voc_person-1.png is 64×48, .* scale both together$"):
        main.main(config)


def test_a_run_that_is_interrupted_says_how_to_go_on(data, tmp_path):
    config = config_for(data, tmp_path)
    with pytest.raises(KeyboardInterrupt, match=r"0 of 3 steps .* nothing to go on from yet$"):
        interrupt(config)
    journal.write_curves([{"round": 2, "step": 2}], tmp_path)
    with pytest.raises(KeyboardInterrupt, match=r"2 of 3 steps are kept .* with --resume goes on$"):
        interrupt(config)


def interrupt(config: TrainConfig) -> None:
    with journal.resumable(config):
        raise KeyboardInterrupt


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
        ({"warmup_steps": 10_000}, "and fewer than 10000"),
        ({"average": 1.0}, "less than 1"),
        ({"onto_room": 1.5}, "must lie between 0 and 1"),
        ({"width": 0.5}, "width 1 only: give --imagenet=false"),
        (
            {"detector": Path("a"), "imagenet": False},
            "frozen as ImageNet's are: leave --imagenet on",
        ),
        ({"width": 0.0}, "width 0.0: must be above 0"),
        ({"learning_rate": -1e-3}, "learning_rate -0.001: must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate nan: must be above 0"),
        ({"seed": -1}, "seed -1: must be 0 or more"),
        ({"weight_decay": -0.1}, "weight_decay -0.1: must be 0 or more"),
        ({"teacher_weight": 1.1}, "teacher_weight 1.1: must lie between 0 and 1"),
        ({"precision": "int8"}, "int8: must be one of float32, bfloat16, float16"),
        ({"devices": 3}, "batch 16: 3 devices cannot share it evenly"),
    ],
)
def test_what_cannot_work_is_rejected(change, message):
    with pytest.raises(TrainError, match=message):
        TrainConfig(**change)
