"""The curves as a picture, and as events for TensorBoard."""

import sys

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="requirements-train.txt is not installed")

from train import TrainError
from train.chart import COLORS, draw
from train.events import Events


def line(number: int, **groups: float) -> dict:
    scores = {name: {"iou": value, "boundary_f": value / 2} for name, value in groups.items()}
    entry = {"round": number, "step": 10 * number, "loss": 1 / number, "seconds": 2.0}
    return entry | ({"scores": scores} if groups else {})


def pixels_of(picture: np.ndarray, color: str) -> int:
    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((picture == rgb[::-1]).all(axis=-1).sum())


def test_every_group_has_its_curve(tmp_path):
    lines = [line(1), line(2, a=0.4, b=0.5), line(3), line(4, a=0.6, b=0.5)]
    draw(lines, tmp_path / "curves.png")
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture.shape == (400, 1500, 3)
    assert [pixels_of(picture, color) > 100 for color in COLORS[:3]] == [True, True, False]


@pytest.mark.parametrize(
    "lines",
    [
        [line(1)],
        [line(1, a=0.4)],
        [line(1, a=0.0), line(2, a=1.0)],
        [line(1, a=0.4), line(2, a=0.5, b=0.5)],
        [line(1) | {"scores": {}}],
    ],
    ids=["not judged", "judged once", "from 0 to 1", "a group comes later", "nobody to judge on"],
)
def test_short_and_odd_runs_are_drawn(lines, tmp_path):
    draw(lines, tmp_path / "curves.png")
    assert cv2.imread(str(tmp_path / "curves.png")) is not None


def test_events_hold_what_the_curves_hold(tmp_path):
    pytest.importorskip("tensorboardX", reason="tensorboardX, for --tensorboard, is not installed")
    tf = pytest.importorskip("tensorflow", reason="TensorFlow, which reads them, is not installed")
    events = Events(tmp_path)
    events.add(line(1))
    events.add(line(2, portraits=0.9))
    events.close()
    (path,) = tmp_path.iterdir()
    read = {
        (event.step, value.tag): pytest.approx(value.simple_value)
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert read == {
        (10, "loss"): 1.0,
        (10, "seconds"): 2.0,
        (20, "loss"): 0.5,
        (20, "seconds"): 2.0,
        (20, "iou/portraits"): 0.9,
        (20, "boundary_f/portraits"): 0.45,
    }


def test_a_missing_tensorboard_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(TrainError, match="pip install tensorboardX"):
        Events(tmp_path)
