"""COCO becomes a training set that `train` reads: who is in it, where, and what may go wrong."""

import dataclasses
import json
import logging
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("pycocotools", reason="requirements-train.txt is not installed")

from pycocotools.coco import COCO

import run
from train import TrainError, data
from train.collection import training, validation
from train.data import main, pick, region_of
from train.data_config import DataConfig
from train.sample import Sample

NOBODY = {5: "a dog", 6: "nothing"}  # in coco_root
TRAIN_JSON = "annotations/instances_train2017.json"


@pytest.fixture
def config(coco_root: Path, tmp_path: Path) -> DataConfig:
    return DataConfig(out=tmp_path / "data", coco=coco_root, size=80, negatives=1.0)


def changed(file: Path, **changes) -> dict:
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps(content))
    return content


def numbers_of(samples: list[Sample]) -> list[int]:
    return [int(sample.image.stem) for sample in samples]


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def overlaps(count: int, fewer: int) -> np.ndarray:
    """(fewer, count): how much of each new pixel is made of each old one, along one axis."""
    edges, step = np.arange(count), count / fewer
    starts = np.arange(fewer)[:, None] * step
    return np.clip(np.minimum(edges + 1, starts + step) - np.maximum(edges, starts), 0, 1) / step


def scaled_truth(coco: COCO, image: int, size_hw: tuple[int, int]) -> np.ndarray:
    """All people of a picture at its full size, by pycocotools; then where they cover half."""
    numbers = coco.getAnnIds(imgIds=[image], catIds=coco.getCatIds(catNms=["person"]))
    full = np.any([coco.annToMask(one) for one in coco.loadAnns(numbers)], axis=0)
    rows, columns = (overlaps(*sides) for sides in zip(full.shape, size_hw, strict=True))
    return rows @ full @ columns.T >= 0.5


# ----------------------------------------------------------------------------------- what is made


def test_train_reads_what_data_made(config):
    assert main(config) == config.out / "coco"
    samples = training(config.out, hard_repeats=1).samples
    assert numbers_of(samples) == [1, 2, *NOBODY]
    assert numbers_of(validation(config.out)["coco"]) == [7]


def test_picture_and_mask_are_scaled_together(config):
    main(config)
    for sample in training(config.out, hard_repeats=1).samples:
        image, mask, weight = sample.read()
        assert image.shape == (60, 80, 3)
        inner = cv2.erode(mask, np.ones((3, 3)))  # JPEG rings at the edges
        outer = cv2.dilate(mask, np.ones((3, 3)))
        assert image[inner > 0].min(initial=255) > 230
        assert image[(outer == 0) & (weight > 0)].max() < 60


def test_people_are_half_covered_pixels_of_all_masks_united(config, coco_root):
    main(config)
    oracle = COCO(coco_root / TRAIN_JSON)
    mask = training(config.out, hard_repeats=1).samples[0].read().mask > 0
    np.testing.assert_array_equal(mask, scaled_truth(oracle, 1, (60, 80)))


def test_crowds_and_specks_are_unknown_unless_a_person_is_traced_there(config):
    main(config)
    _, mask, weight = training(config.out, hard_repeats=1).samples[1].read()
    assert not weight[10, 45:].any()  # the crowd
    assert weight[30, 60] == mask[30, 60] == 255  # the person in the crowd
    assert not weight[50:52, 5:7].any()  # the speck
    assert weight[40, 20] == 255
    assert mask[40, 20] == 0


def test_what_touches_an_unknown_region_is_unknown(config):
    odd = dataclasses.replace(config, size=53)
    main(odd)
    _, mask, weight = training(odd.out, hard_repeats=1).samples[1].read()
    assert not weight[0, 29:].any()  # from column 90 of 160: column 29.8 of 53
    assert weight[0, 28] == 255
    assert mask.any()


def test_without_a_limit_to_specks_a_speck_is_a_person(config):
    main(dataclasses.replace(config, speck=0.0))
    samples = training(config.out, hard_repeats=1).samples
    assert 4 in numbers_of(samples)
    assert samples[1].read().mask[51, 6] == 255


def test_small_pictures_stay_as_they_are(config, coco_root):
    main(dataclasses.replace(config, size=1000))
    image = training(config.out, hard_repeats=1).samples[0].read().image
    ours = cv2.imread(str(coco_root / "train2017" / "000000000001.jpg"))
    assert image.shape == ours.shape
    assert np.abs(image[..., ::-1].astype(int) - ours).mean() < 1


def test_the_category_and_the_licenses_are_kept(config):
    main(config)
    content = json.loads((config.made / TRAIN_JSON).read_text())
    assert content["categories"] == [{"id": 7, "name": "person"}]
    assert content["licenses"] == [{"id": 4, "name": "Attribution"}]
    assert {image["license"] for image in content["images"]} == {4}
    assert {(a["image_id"], a["iscrowd"]) for a in content["annotations"]} == {
        (1, 0),
        (2, 0),
        (2, 1),
    }


def test_a_set_tells_what_it_was_asked(config):
    main(config)
    record = json.loads((config.made / "made.json").read_text())
    assert (record["size"], record["seed"]) == (80, 1)


@pytest.mark.parametrize(("negatives", "count"), [(0.0, 0), (0.5, 1), (1.0, 2)])
def test_negatives_are_a_share_of_the_pictures_with_people(config, negatives, count):
    main(dataclasses.replace(config, negatives=negatives))
    samples = training(config.out, hard_repeats=1).samples
    assert len(set(numbers_of(samples)) & set(NOBODY)) == count
    assert len(samples) == 2 + count


def test_samples_are_the_same_each_time_and_more_hold_the_fewer():
    somebody = (region_of(np.ones((4, 4), bool)),)
    samples = {n: Sample(Path(f"{n}.jpg"), people=somebody) for n in range(100)}
    config = DataConfig(negatives=0.0)
    few, again, many = (pick(samples, limit, config) for limit in (10, 10, 20))
    assert few == again == sorted(few)
    assert len(few) == 10
    assert set(few) < set(many)
    assert pick(samples, 10, dataclasses.replace(config, seed=2)) != few
    assert pick(samples, None, config) == list(samples)


def test_samples_count_people_to_learn_from_only(config):
    main(dataclasses.replace(config, samples=1, negatives=0.0))
    assert len(training(config.out, hard_repeats=1).samples) == 1
    assert numbers_of(validation(config.out)["coco"]) == [7]


def test_more_samples_than_there_are_is_said(config, caplog):
    main(dataclasses.replace(config, samples=16_000))
    assert "only 2 pictures show people, not 16000: all are used" in caplog.text


def test_real_pictures_agree_with_pycocotools(shared, tmp_path):
    coco = shared / "data" / "coco"
    made = dataclasses.replace(DataConfig(), out=tmp_path, coco=coco, size=128, samples=60)
    main(made)
    oracle = COCO(coco / TRAIN_JSON)
    samples = [s for s in training(tmp_path, hard_repeats=1).samples if s.people]
    assert len(samples) == 60
    agreement = []
    for sample in samples:
        image, mask, weight = sample.read()
        assert max(image.shape) == 128
        truth, known = scaled_truth(oracle, int(sample.image.stem), mask.shape), weight > 0
        agreement.append(iou((mask > 0)[known], truth[known]))
    assert min(agreement) > 0.99, agreement  # pixels that are just half covered
    assert len(validation(tmp_path)["coco"]) == 92


# --------------------------------------------------------------------------- stopped and run again


def test_a_second_run_makes_nothing_anew(config):
    main(config)
    before = {path: path.stat().st_mtime_ns for path in config.made.rglob("*.jpg")}
    contents = files_below(config.made)
    main(config)
    assert {path: path.stat().st_mtime_ns for path in config.made.rglob("*.jpg")} == before
    assert files_below(config.made) == contents


def test_a_picture_that_is_not_whole_is_made_anew(config):
    main(config)
    contents = files_below(config.made)
    hurt = config.made / "train2017" / "000000000001.jpg"
    hurt.write_bytes(hurt.read_bytes()[:-200])
    main(config)
    assert files_below(config.made) == contents


def test_an_interrupted_run_leaves_whole_pictures_and_goes_on(config, tmp_path):
    whole = files_below(main(dataclasses.replace(config, out=tmp_path / "whole")))
    del whole["made.json"]  # it tells the folder

    @contextmanager
    def interrupts(unit):
        assert unit == "pictures"

        def stop(done: int, total: int | None) -> None:
            assert total == 4
            raise KeyboardInterrupt

        yield stop

    with pytest.raises(KeyboardInterrupt, match="the same command goes on from there"):
        main(config, interrupts)
    left = files_below(config.made)
    del left["made.json"]
    assert left
    assert left.items() < whole.items()  # no annotations yet, no half picture
    main(config)
    ended = files_below(config.made)
    del ended["made.json"]
    assert ended == whole


def test_a_full_disk_loses_nothing_that_was_made(config, monkeypatch):
    really = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if "000000000007" in path.name:
            really(path, content[:10])
            raise OSError(28, "No space left on device")
        return really(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(TrainError, match=r"cannot write .*007.jpg: No space left .* make room"):
            main(config)
    assert len(list((config.made / "train2017").iterdir())) == 4
    assert not list((config.made / "val2017").iterdir())  # and nothing half
    main(config)
    assert numbers_of(validation(config.out)["coco"]) == [7]


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            None,
            r"no annotation file .*train2017.json: name the folder .* --coco, or let --download",
        ),
        ('{"images": [{"id"', "damaged or cut short"),
        ('{"annotations": [], "images": []}', 'no category "person"'),
        ("[1]", "not in COCO's instances format"),
    ],
)
def test_wrong_annotation_files_are_named_before_anything_is_made(
    config, coco_root, content, message
):
    file = coco_root / TRAIN_JSON
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(TrainError, match=message):
        main(config)
    assert not config.out.exists()


def test_annotations_without_the_size_of_a_picture_are_refused(config, coco_root):
    content = changed(coco_root / TRAIN_JSON)
    del content["images"][0]["height"]
    changed(coco_root / TRAIN_JSON, images=content["images"])
    with pytest.raises(TrainError, match=r"not in COCO's instances format: KeyError\('height'\)"):
        main(config)


def test_nobody_but_specks_is_an_error(config):
    with pytest.raises(TrainError, match="nobody is in"):
        main(dataclasses.replace(config, speck=0.9))


def test_absent_pictures_stop(config, coco_root):
    (coco_root / "train2017" / "000000000006.jpg").unlink()
    with pytest.raises(TrainError, match="1 of 6 pictures are not in"):
        main(config)


def test_a_picture_in_both_splits_is_refused(config, coco_root):
    val = coco_root / "annotations" / "instances_val2017.json"
    (coco_root / "val2017" / "000000000007.jpg").rename(coco_root / "val2017" / "000000000001.jpg")
    val.write_text(val.read_text().replace('_id": 7,', '_id": 1,').replace('7.jpg"', '1.jpg"'))
    content = changed(val)
    content["images"][0]["id"] = content["annotations"][0]["image_id"] = 1
    content["annotations"][0]["category_id"] = 7
    changed(val, **content)
    with pytest.raises(TrainError, match="1 pictures are both in train2017 and in val2017"):
        main(config)


def test_many_damaged_pictures_stop(config, coco_root):
    (coco_root / "train2017" / "000000000001.jpg").write_bytes(b"no picture")
    with pytest.raises(TrainError, match=r"1 of 4 pictures are damaged: cannot read .*001.jpg"):
        main(config)


def test_pictures_and_regions_of_another_size_than_told_are_damaged(config, coco_root):
    other = np.zeros((120, 161, 3), np.uint8)
    cv2.imwrite(str(coco_root / "train2017" / "000000000001.jpg"), other)
    with pytest.raises(TrainError, match=r"001.jpg is not of the size that its annotations tell"):
        main(config)
    content = changed(coco_root / TRAIN_JSON)
    for image in content["images"]:
        image["width"] = 161
    changed(coco_root / TRAIN_JSON, images=content["images"])
    with pytest.raises(TrainError, match=r"001.jpg has regions that are not of its size"):
        main(config)


def test_few_damaged_pictures_are_skipped_and_listed(config, coco_root, caplog, monkeypatch):
    monkeypatch.setattr(data, "MAX_ABSENT", 0.3)
    (coco_root / "train2017" / "000000000001.jpg").write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING):
        main(config)
    assert "1 pictures are damaged and are skipped" in caplog.text
    assert "000000000001.jpg" in caplog.text
    assert numbers_of(training(config.out, hard_repeats=1).samples) == [2, *NOBODY]


def test_originals_that_lie_where_the_set_would_be_are_left_alone(config, coco_root, tmp_path):
    coco_root.rename(tmp_path / "coco")
    before = files_below(tmp_path)
    with pytest.raises(TrainError, match="cannot make the set over its originals"):
        DataConfig(out=tmp_path, coco=tmp_path / "coco")
    (tmp_path / "link").symlink_to(tmp_path / "coco")
    with pytest.raises(TrainError, match="cannot make the set over its originals"):
        DataConfig(out=tmp_path, coco=tmp_path / "link")
    (tmp_path / "other" / "coco").mkdir(parents=True)
    (tmp_path / "other" / "coco" / "train2017").symlink_to(tmp_path / "coco" / "train2017")
    with pytest.raises(TrainError, match="holds files that were not made here"):
        main(dataclasses.replace(config, out=tmp_path / "other", coco=tmp_path / "coco"))
    assert {n: b for n, b in files_below(tmp_path).items() if n in before} == before


def test_a_set_has_one_size(config):
    main(config)
    before = files_below(config.made)
    with pytest.raises(TrainError, match="holds pictures of size 80, not 96: remove it, or name"):
        main(dataclasses.replace(config, size=96))
    assert files_below(config.made) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 10}, "size 10: must be at least 32"),
        ({"samples": 0}, "samples 0: must be at least 1"),
        ({"negatives": -0.1}, "negatives -0.1: must be at least 0"),
        ({"speck": 1.0}, "speck 1.0: a share"),
        ({"url": "ftp://host"}, "url ftp://host: must begin with http"),
    ],
)
def test_what_cannot_work_is_rejected(change, message):
    with pytest.raises(TrainError, match=message):
        DataConfig(**change)


# ---------------------------------------------------------------------------- on the command line


def test_the_command_says_where_the_set_is(coco_root, tmp_path, capsys):
    words = ["data", "--coco", str(coco_root), "--out", str(tmp_path / "out"), "--size", "64"]
    assert run.main(words) == 0
    assert capsys.readouterr().out == f"training set: {tmp_path / 'out' / 'coco'}\n"


def test_the_command_without_coco_says_what_to_do(tmp_path, capsys):
    assert run.main(["data", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert str(tmp_path / "originals") in said
    assert "--download" in said
