"""Scores of what is run as the app runs it, with a network whose alpha is known."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import run
from export import ExportError
from export.config import EvaluateConfig
from export.evaluate import evaluate, main
from train.sample import pairs

STILL_SCORES = {"iou", "boundary_f", "mad", "mse", "grad", "conn"}


def write(path: Path, white_columns: int, *, first: int = 0, colors: bool = False) -> None:
    """A picture or mask of 128×128: white from column `first` on, so many columns wide."""
    plane = np.zeros((128, 128), np.uint8)
    plane[:, first : first + white_columns] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.merge([plane] * 3) if colors else plane)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, white where their masks are; the second mask claims twice as much."""
    for stem, claimed in (("a", 60), ("b", 120)):
        write(tmp_path / "images" / f"{stem}.png", 60, colors=True)
        write(tmp_path / "masks" / f"{stem}.png", claimed)
    return tmp_path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Three frames of a bar that stands still; in the truth it jumps by 32 columns at the last.

    They are named so that the alphabet would put the last one in the middle.
    """
    for name, jump in (("2", 0), ("3", 0), ("10", 32)):
        write(tmp_path / "frames" / f"{name}.png", 64, first=32, colors=True)
        write(tmp_path / "masks" / f"{name}.png", 64, first=32 + jump)
    return tmp_path


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """COCO's layout: one picture with a person, one with a crowd beside her, one with nobody."""
    left, right = (
        [0, 0, 60, 0, 60, 128, 0, 128],
        {"counts": [128 * 90, 128 * 38], "size": [128, 128]},
    )
    person = {
        "category_id": 7,
        "iscrowd": 0,
        "segmentation": [left],
        "area": 1,
        "bbox": [0, 0, 1, 1],
    }
    crowd = {**person, "iscrowd": 1, "segmentation": right}
    names = ["alone.png", "crowd.png", "nobody.png"]
    found = [person | {"image_id": 0}, person | {"image_id": 1}, crowd | {"image_id": 1}]
    root = tmp_path / "coco"
    for name in names:
        write(root / "val2017" / name, 60, colors=True)
    write(root / "val2017" / "crowd.png", 60, colors=True)
    picture = cv2.imread(str(root / "val2017" / "crowd.png"))
    picture[:, 90:] = 255
    cv2.imwrite(str(root / "val2017" / "crowd.png"), picture)
    record = {
        "images": [
            {"id": n, "file_name": name, "height": 128, "width": 128}
            for n, name in enumerate(names)
        ],
        "annotations": [entry | {"id": n} for n, entry in enumerate(found, 1)],
        "categories": [{"id": 7, "name": "person"}],
    }
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(record))
    return root


def config_for(folder: Path, network: Path, **changes) -> EvaluateConfig:
    return EvaluateConfig(folder / "images", folder / "masks", network=network, **changes)


def means_of(config: EvaluateConfig) -> dict[str, float]:
    (evaluation,) = main(config).evaluations
    return evaluation.means


def test_scores_by_hand(folder, bright_network):
    (evaluation,) = main(config_for(folder, bright_network)).evaluations
    assert evaluation.rows["a.png"]["iou"] == pytest.approx(1, abs=0.02)
    assert evaluation.rows["b.png"]["iou"] == pytest.approx(0.5, abs=0.02)
    assert evaluation.rows["a.png"]["boundary_f"] == 1
    assert evaluation.rows["b.png"]["boundary_f"] == 0
    assert evaluation.rows["b.png"]["mad"] == pytest.approx(60 / 128, abs=0.02)
    assert evaluation.rows["b.png"]["conn"] == pytest.approx(60 * 128 / 1000, rel=0.02)
    assert evaluation.means["iou"] == pytest.approx(0.75, abs=0.02)
    assert set(evaluation.means) == STILL_SCORES


def test_samples_are_scored_without_a_command_line(folder, bright_network):
    samples = pairs(folder / "images", folder / "masks")
    assert evaluate(bright_network, samples).means == means_of(config_for(folder, bright_network))


def test_a_clip_is_played_in_natural_order_and_its_flicker_scored(clip, bright_network):
    config = EvaluateConfig(frames=clip / "frames", masks=clip / "masks", network=bright_network)
    (evaluation,) = main(config).evaluations
    assert list(evaluation.rows) == ["2.png", "3.png", "10.png"]
    assert "dtssd" not in evaluation.rows["2.png"]
    assert evaluation.rows["3.png"]["dtssd"] == pytest.approx(0, abs=1e-3)
    # 32 columns vanish from the truth and 32 come: half of 128 is wrong by 1.
    assert evaluation.rows["10.png"]["dtssd"] == pytest.approx(100 * 0.5**0.5, rel=0.02)
    assert evaluation.means["dtssd"] == pytest.approx(50 * 0.5**0.5, rel=0.02)


def test_pictures_are_no_clip(clip, bright_network):
    config = EvaluateConfig(clip / "frames", clip / "masks", network=bright_network)
    assert set(means_of(config)) == STILL_SCORES


def test_frames_of_two_sizes_are_no_clip(clip, bright_network):
    for kind in ("frames", "masks"):
        path = str(clip / kind / "3.png")
        cv2.imwrite(path, cv2.imread(path)[:64])
    config = EvaluateConfig(frames=clip / "frames", masks=clip / "masks", network=bright_network)
    with pytest.raises(ExportError, match=r"3.png is 128×64, the frame before 128×128"):
        main(config)


def test_coco_counts_people_leaves_out_nobody_and_ignores_crowds(coco, bright_network):
    (evaluation,) = main(EvaluateConfig(coco=coco, network=bright_network)).evaluations
    assert set(evaluation.rows) == {"alone.png", "crowd.png"}
    assert evaluation.rows["crowd.png"]["iou"] == pytest.approx(1, abs=0.03)
    assert evaluation.pictures == "COCO val2017"


def test_an_annotation_file_of_ones_own_goes_with_its_pictures(coco, bright_network):
    annotations = coco / "annotations" / "instances_val2017.json"
    own = EvaluateConfig(coco=annotations, images=coco / "val2017", network=bright_network)
    assert means_of(own) == means_of(EvaluateConfig(coco=coco, network=bright_network))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: None, "no annotation file"),
        (lambda text: text[: len(text) // 2], "damaged or cut short"),
        (lambda text: "[1, 2]", "not in COCO's instances format"),
        (lambda text: text.replace('"person"', '"cat"'), "no category"),
    ],
)
def test_bad_annotations_are_named(coco, bright_network, spoil, message):
    path = coco / "annotations" / "instances_val2017.json"
    spoiled = spoil(path.read_text())
    path.unlink() if spoiled is None else path.write_text(spoiled)
    with pytest.raises(ExportError, match=message):
        main(EvaluateConfig(coco=coco, network=bright_network))


def test_a_folder_of_data_is_scored_group_by_group(clip, coco, bright_network):
    for number, name in enumerate(("supervisely-1", "vk_selfie-1", "portrait_apm-1")):
        write(clip / "people/val/images" / f"{name}.png", 60, colors=True)
        write(clip / "people/val/masks" / f"{name}.png", 60 + 30 * number)
    (clip / "clips/composite").mkdir(parents=True)
    for kind in ("frames", "masks"):
        shutil.move(clip / kind, clip / "clips/composite" / kind)
    board = main(EvaluateConfig(data=clip, network=bright_network))
    counts = {each.pictures: len(each.rows) for each in board.evaluations}
    assert counts == {"people": 2, "portraits": 1, "coco": 2, "composite": 3}
    assert list(board.evaluations[-1].rows) == ["2.png", "3.png", "10.png"]
    ((titles, rows),) = board.tables()
    assert titles == ["", "count", "IoU", "F", "MAD", "MSE", "Grad", "Conn", "dtSSD"]
    assert [row[0] for row in rows if row[0].startswith(" ")] == ["  supervisely", "  vk_selfie"]
    assert {row[0]: row[-1] for row in rows}["portraits"] == "–"
    assert {row[0]: row[-1] for row in rows}["composite"] == "35.36"


def test_a_folder_without_data_is_named(tmp_path):
    with pytest.raises(ExportError, match=r"nothing to score in .*: expected people/val"):
        main(EvaluateConfig(data=tmp_path))


def test_finished_mattes_score_as_the_network_that_made_them(folder, bright_network, tmp_path):
    mattes = tmp_path / "mattes"
    words = [
        "image",
        folder / "images",
        mattes,
        "--background",
        "matte",
        "--network",
        bright_network,
    ]
    assert run.main([str(word) for word in words]) == 0
    of_files = means_of(EvaluateConfig(folder / "images", folder / "masks", mattes=mattes))
    of_network = means_of(config_for(folder, bright_network))
    assert of_files == pytest.approx(of_network, abs=0.004)  # 8 bits


def cut_out(mattes: Path) -> None:
    Image.new("RGBA", (128, 128)).save(mattes / "b.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda mattes: (mattes / "b.png").unlink(), r"no matte .*b.png for .*b.png"),
        (lambda mattes: write(mattes / "b.png", 3) or shrink(mattes / "b.png"), "as 64×64"),
        (cut_out, "is a cut-out: give its alpha alone"),
        (lambda mattes: (mattes / "b.png").write_text("x"), "cannot read picture"),
        (shutil.rmtree, "no folder"),
    ],
)
def test_bad_mattes_are_named(folder, spoil, message):
    shutil.copytree(folder / "masks", folder / "mattes")
    spoil(folder / "mattes")
    with pytest.raises(ExportError, match=message):
        main(EvaluateConfig(folder / "images", folder / "masks", mattes=folder / "mattes"))


def shrink(path: Path) -> None:
    cv2.imwrite(str(path), cv2.imread(str(path))[::2, ::2])


def test_the_command_shows_a_table(folder, bright_network, capsys):
    words = ["evaluate", folder / "images", folder / "masks", "--network", bright_network]
    assert run.main([str(word) for word in words]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["count", "IoU", "F", "MAD", "MSE", "Grad", "Conn"]
    assert row.split()[:2] == ["pictures", "2"]


def test_flags_name_the_folders_as_well(folder, bright_network):
    words = [
        "--images",
        folder / "images",
        "--masks",
        folder / "masks",
        "--network",
        bright_network,
    ]
    assert run.main(["evaluate", *(str(word) for word in words)]) == 0


def test_progress_is_told_picture_by_picture(folder, bright_network):
    told = []
    main(config_for(folder, bright_network), lambda *progress: told.append(progress))
    assert told == [(1, 2), (2, 2)]


def test_json_holds_means_and_every_picture(folder, bright_network, tmp_path):
    board = main(config_for(folder, bright_network, json=tmp_path / "scores.json"))
    (record,) = json.loads((tmp_path / "scores.json").read_text())["evaluations"]
    assert record["means"] == board.evaluations[0].means
    assert set(record["rows"]) == {"a.png", "b.png"}
    assert record["count"] == 2


def test_the_sheet_shows_the_worst_first(folder, bright_network, tmp_path):
    config = config_for(folder, bright_network, sheet=tmp_path / "worst.png", worst=1)
    (evaluation,) = main(config).evaluations
    assert [case.sample.image.name for case in evaluation.worst] == ["b.png"]
    with Image.open(tmp_path / "worst.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).reshape(-1, 3)
    green = np.count_nonzero((pixels == (0, 177, 64)).all(axis=1))
    assert green == pytest.approx(208 * 208 * 68 / 128, rel=0.05)  # where the matte is 0
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"json": "absent/scores.json"}, "cannot write .*scores.json: give a file in a folder"),
        ({"sheet": "absent/worst.png"}, "cannot write .*worst.png: give a file in a folder"),
        ({"json": "masks"}, "cannot write .*masks"),
        ({"sheet": "worst.txt"}, r"worst.txt: give a name ending in .png"),
    ],
)
def test_files_that_cannot_be_written_are_refused_before_the_work(folder, changes, message):
    paths = {flag: folder / name for flag, name in changes.items()}
    with pytest.raises(ExportError, match=message):
        EvaluateConfig(folder / "images", folder / "masks", **paths)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "cannot tell what to score from nothing: give IMAGES"),
        ({"images": Path("i")}, "IMAGES needs --masks"),
        ({"frames": Path("f")}, "--frames needs --masks"),
        ({"data": Path("d"), "masks": Path("m")}, "--data brings its own truth"),
        ({"data": Path("d"), "coco": Path("c")}, "from --data and --coco"),
        ({"coco": Path("c.json")}, "c.json is a file: --images says where its pictures lie"),
        ({"images": Path("i"), "masks": Path("m"), "worst": 0}, "worst 0"),
    ],
)
def test_what_cannot_work_is_rejected(changes, message):
    with pytest.raises(ExportError, match=message):
        EvaluateConfig(**changes)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "masks" / "b.png").unlink(), r"1 of 2 pictures .* b.png first"),
        (lambda f: cv2.imwrite(str(f / "masks/b.png"), np.zeros((9, 9), np.uint8)), "its mask"),
        (lambda f: (f / "images" / "a.png").write_text("x"), r"cannot read picture .*a.png"),
        (lambda f: [p.unlink() for p in (f / "images").iterdir()], "no pictures in"),
        (lambda f: shutil.rmtree(f / "images"), "no folder .*images"),
    ],
)
def test_bad_folders_are_named(folder, bright_network, spoil, message):
    spoil(folder)
    with pytest.raises(ExportError, match=message):
        main(config_for(folder, bright_network))


def test_a_missing_network_is_named(folder, tmp_path):
    with pytest.raises(ExportError, match=r"cannot find the network .*absent.onnx"):
        main(config_for(folder, tmp_path / "absent.onnx"))
