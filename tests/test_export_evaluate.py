"""Scores of a network that is run as the app runs it, with one whose alpha is known."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from export import ExportError
from export.config import EvaluateConfig
from export.evaluate import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, white where their masks are; the second mask claims twice as much."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for stem, claimed in (("a", 60), ("b", 120)):
        picture = np.zeros((128, 128, 3), np.uint8)
        picture[:, :60] = 255
        mask = np.zeros((128, 128), np.uint8)
        mask[:, :claimed] = 255
        cv2.imwrite(str(tmp_path / "images" / f"{stem}.png"), picture)
        cv2.imwrite(str(tmp_path / "masks" / f"{stem}.png"), mask)
    return tmp_path


def config_for(folder: Path, network: Path, **changes) -> EvaluateConfig:
    return EvaluateConfig(folder / "images", folder / "masks", network=network, **changes)


def test_scores_by_hand(folder, bright_network):
    evaluation = main(config_for(folder, bright_network))
    assert evaluation.rows["a.png"]["iou"] == pytest.approx(1, abs=0.02)
    assert evaluation.rows["b.png"]["iou"] == pytest.approx(0.5, abs=0.02)
    assert evaluation.rows["a.png"]["boundary_f"] == 1
    assert evaluation.rows["b.png"]["boundary_f"] == 0
    assert evaluation.rows["b.png"]["mad"] == pytest.approx(60 / 128, abs=0.02)
    assert evaluation.means["iou"] == pytest.approx(0.75, abs=0.02)


def test_the_table_names_every_score(folder, bright_network):
    head, row = main(config_for(folder, bright_network)).table().splitlines()
    assert head.split() == ["pictures", "iou", "boundary_f", "mad", "mse"]
    assert row.split()[0] == "2"


def test_json_holds_means_and_every_picture(folder, bright_network, tmp_path):
    evaluation = main(config_for(folder, bright_network, json=tmp_path / "scores.json"))
    record = json.loads((tmp_path / "scores.json").read_text())
    assert record["means"] == evaluation.means
    assert set(record["rows"]) == {"a.png", "b.png"}


def test_json_that_cannot_be_written_is_an_error(folder, bright_network, tmp_path):
    with pytest.raises(ExportError, match="cannot write"):
        main(config_for(folder, bright_network, json=tmp_path / "absent" / "scores.json"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "masks" / "b.png").unlink(), r"1 of 2 pictures .* b.png first"),
        (lambda f: cv2.imwrite(str(f / "masks/b.png"), np.zeros((9, 9), np.uint8)), "its mask"),
        (lambda f: (f / "images" / "a.png").write_text("x"), r"cannot read picture .*a.png"),
        (lambda f: [p.unlink() for p in (f / "images").iterdir()], "no pictures in"),
    ],
)
def test_bad_folders_are_named(folder, bright_network, spoil, message):
    spoil(folder)
    with pytest.raises(ExportError, match=message):
        main(config_for(folder, bright_network))


def test_a_missing_network_is_named(folder, tmp_path):
    with pytest.raises(ExportError, match=r"cannot find the network .*absent.onnx"):
        main(config_for(folder, tmp_path / "absent.onnx"))
