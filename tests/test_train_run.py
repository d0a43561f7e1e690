"""`run.py train` as people meet it: killed, interrupted, given nonsense, on several devices."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="requirements-train.txt is not installed")

import h5py

import run as program

ROOT = Path(__file__).parent.parent

# 37 samples an epoch, eight a batch: the second epoch begins in the fifth step, in round 2. Of
# eight, two devices get four each, and see the same ones again as one does.
STEPS, STEPS_PER_ROUND = 12, 4
TINY = (
    *(
        "--imagenet=false",
        "--width",
        "0.25",
        "--depth",
        "0.3",
        "--size",
        "32",
        "--judge-size",
        "32",
    ),
    *("--batch", "8", "--steps", STEPS, "--steps-per-round", STEPS_PER_ROUND, "--judge-every", "2"),
    *("--warmup-steps", "2", "--norm-batches", "2", "--workers", "1", "--average", "0.9"),
)

# Without TensorFlow's tracing, which takes longer than the few steps of a test.
EAGER = "import tensorflow as tf\ntf.config.run_functions_eagerly(True)\n"
ENDS_ITSELF = """
import os, signal
from train.journal import Journal, steps_moved
def end(journal, batch, logs=None):
    if steps_moved(journal.model) == 11:
        os.kill(os.getpid(), signal.{signal})
Journal.on_train_batch_end = end
"""
RUN = "import sys, run\nsys.exit(run.main(sys.argv[1:]))\n"


def child(code: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-c", code, *map(str, words)]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    return subprocess.run(
        call, cwd=ROOT, env=os.environ | quiet, capture_output=True, text=True, timeout=900
    )


@pytest.fixture(scope="module")
def train(people, tmp_path_factory):
    """train(NAME, *words, before=code) runs a tiny training in a process of its own."""
    runs = tmp_path_factory.mktemp("runs")

    def start(name: str, *words: object, before: str = EAGER, **environment: str):
        where = ("--data", people, "--run", runs / name)
        return runs / name, child(before + RUN, "train", *where, *TINY, *words, **environment)

    return start


@pytest.fixture(scope="module")
def whole(train) -> Path:
    folder, done = train("whole")
    assert done.returncode == 0, done.stderr
    return folder


def arrays(network: Path) -> dict[str, np.ndarray]:
    """Every array in a .keras file, the optimizer's included, by its place."""
    found = {}
    with zipfile.ZipFile(network).open("model.weights.h5") as file, h5py.File(file) as weights:
        weights.visititems(
            lambda name, node: found.update({name: node[()]} if hasattr(node, "shape") else {})
        )
    return found


def assert_equal_runs(one: Path, other: Path) -> None:
    for name in ("network.keras", "last.keras"):
        wanted, got = arrays(one / name), arrays(other / name)
        assert wanted.keys() == got.keys()
        for place, array in wanted.items():
            np.testing.assert_allclose(got[place], array, atol=1e-6, err_msg=f"{name}: {place}")
    assert losses(one) == pytest.approx(losses(other), abs=1e-6)


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "curves.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_killed_and_resumed_equals_not_killed(whole, train):
    """Killed midway through a round, after the border between two epochs."""
    folder, killed = train("killed", before=EAGER + ENDS_ITSELF.format(signal="SIGKILL"))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (folder / "network.keras").exists()
    assert len((folder / "curves.jsonl").read_text().splitlines()) == 2
    _, resumed = train("killed", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert_equal_runs(whole, folder)


@pytest.mark.slow
def test_interrupted_and_resumed_equals_not_interrupted(whole, train):
    folder, ended = train("interrupted", before=EAGER + ENDS_ITSELF.format(signal="SIGINT"))
    assert ended.returncode == 130, ended.stderr
    last = ended.stderr.splitlines()[-1]
    kept = f"run.py: interrupted: 8 of {STEPS} steps are kept in {folder}"
    assert last == f"{kept}; the same command with --resume goes on"
    assert "Traceback" not in ended.stderr
    _, resumed = train("interrupted", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert_equal_runs(whole, folder)


TWO_OF_TENSORFLOW = """
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""
TWO_OF_JAX = {
    "KERAS_BACKEND": "jax",
    "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
}


def assert_alike(one: Path, two: Path) -> None:
    """The mean loss of the first four steps.

    Sums in another order differ in their last bits. AdamW divides by the gradient's own size, so
    where it is next to nothing its sign decides, and from the fifth step on the runs part (by up
    to 0.013 in twelve); at a learning rate of 1e-5 they stay within 3e-7 for ten steps.
    """
    assert len(losses(two)) == len(losses(one)) == STEPS // STEPS_PER_ROUND
    assert losses(two)[0] == pytest.approx(losses(one)[0], abs=1e-4)


@pytest.mark.slow
def test_two_devices_of_tensorflow_learn_what_one_learns(whole, train):
    folder, done = train("two", "--devices", 2, before=TWO_OF_TENSORFLOW)
    assert done.returncode == 0, done.stderr
    assert_alike(whole, folder)


@pytest.mark.slow
def test_two_devices_of_jax_learn_what_one_learns(train):
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed: pip install jax")
    one, done = train("jax", before="", **TWO_OF_JAX)
    assert done.returncode == 0, done.stderr
    two, done = train("two-jax", "--devices", 2, before="", **TWO_OF_JAX)
    assert done.returncode == 0, done.stderr
    assert_alike(one, two)


def train_here(capsys, *words: object) -> tuple[int, str]:
    code = program.main(["train", *map(str, words)])
    return code, capsys.readouterr().err


def test_more_devices_than_there_are(people, tmp_path, capsys):
    where = ("--data", people, "--run", tmp_path / "run")
    code, said = train_here(capsys, *where, *TINY, "--devices", 2)
    assert code == 1
    assert "run.py: devices 2: only 1 is there: " in said


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--steps", "many"], 2, "--steps"),
        (["--steps", "0"], 1, "steps 0: must be at least 1"),
        (["--precision", "int8"], 2, "--precision"),
        (["--devices", "0"], 1, "devices 0: must be at least 1"),
        (["--depth", "2"], 1, "depth 2.0: must be above 0 and at most 1"),
        (["--teacher-weight", "2"], 1, "teacher_weight 2.0: must lie between 0 and 1"),
        (["--learning-rate", "inf"], 1, "learning_rate inf: must be above 0"),
        (["--seed", "-3"], 1, "seed -3: must be 0 or more"),
        (["--occlude", "nan"], 1, "occlude nan: must lie between 0 and 1"),
        (["--width", "0.5"], 1, "ImageNet weights fit width 1 only: give --imagenet=false"),
        (["--no-such-choice"], 2, "--no-such-choice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_nonsense_is_refused(words, code, message, capsys):
    ended, said = train_here(capsys, *words)
    assert (ended, message in said) == (code, True), said


@pytest.mark.parametrize(
    ("flag", "message"),
    [("--teacher", "cannot open the teacher"), ("--network", "cannot start from")],
)
def test_a_network_that_is_not_there_is_named(flag, message, people, tmp_path, capsys):
    missing = tmp_path / "missing.keras"
    where = ("--data", people, "--run", tmp_path / "run")
    code, said = train_here(capsys, *where, *TINY, flag, missing)
    assert code == 1
    assert f"{message} {missing}" in said


CATEGORY = {"id": 1, "name": "person"}
PICTURE = {"id": 1, "file_name": "1.jpg", "height": 4, "width": 4}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (None, "no annotation file"),
        ('{"images": [', "is damaged or cut short"),
        ('{"images": []}', 'has no category "person"'),
        (
            json.dumps({"images": [PICTURE], "annotations": [], "categories": [CATEGORY]}),
            "nobody is in",
        ),
    ],
    ids=["missing", "truncated", "of another kind", "nobody in it"],
)
def test_bad_annotations_are_named(written, message, tmp_path, capsys):
    annotations = tmp_path / "coco" / "annotations" / "instances_train2017.json"
    (tmp_path / "coco" / "train2017").mkdir(parents=True)
    if written is not None:
        annotations.parent.mkdir()
        annotations.write_text(written)
    code, said = train_here(capsys, "--data", tmp_path, "--run", tmp_path / "run")
    assert code == 1
    assert message in said and str(annotations) in said
    assert not (tmp_path / "run").exists()


def test_no_people_at_all(tmp_path, capsys):
    code, said = train_here(capsys, "--data", tmp_path / "nowhere", "--run", tmp_path / "run")
    assert (code, "no people under" in said) == (1, True)
