"""COCO's layout read right, and every way it can be wrong said plainly."""

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("pycocotools", reason="requirements-train.txt is not installed")

from pycocotools.coco import COCO

from train import TrainError
from train.coco import read_coco

H, W = 40, 60
SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]
LEFT_HALF = {"size": [H, W], "counts": [0, H * W // 2, H * W // 2]}  # column by column, zeros first
RIGHT_HALF = {"size": [H, W], "counts": [H * W // 2, H * W // 2]}
DOG, PERSON = 1, 7  # so that a number in the code, instead of the name, is found out


def annotation(number: int, image: int, category: int, segmentation, iscrowd: int = 0) -> dict:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": segmentation,
        "iscrowd": iscrowd,
    }


@pytest.fixture
def coco(tmp_path: Path) -> tuple[Path, Path]:
    """Two squares that overlap; a person within a crowd; a dog."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("1.png", "2.png", "3.png"):
        cv2.imwrite(str(pictures / name), np.zeros((H, W, 3), np.uint8))
    shifted = [x + 10 for x in SQUARE]
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": H, "width": W} for n in (1, 2, 3)],
        "categories": [{"id": DOG, "name": "dog"}, {"id": PERSON, "name": "person"}],
        "annotations": [
            annotation(1, 1, PERSON, [SQUARE]),
            annotation(2, 1, PERSON, [shifted]),
            annotation(3, 2, PERSON, [SQUARE]),
            annotation(4, 2, PERSON, LEFT_HALF, iscrowd=1),
            annotation(5, 3, DOG, RIGHT_HALF),
        ],
    }
    annotations = tmp_path / "instances.json"
    annotations.write_text(json.dumps(content))
    return annotations, pictures


def rewrite(file: Path, **changes) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_people_are_united_like_pycocotools_does(coco):
    samples = read_coco(*coco)
    oracle = COCO(coco[0])
    for sample, image in zip(samples, (1, 2, 3), strict=True):
        numbers = oracle.getAnnIds(imgIds=[image], catIds=[PERSON], iscrowd=False)
        masks = [oracle.annToMask(a) for a in oracle.loadAnns(numbers)]
        wanted = np.any(masks, axis=0) if masks else np.zeros((H, W), bool)
        np.testing.assert_array_equal(sample.read().mask > 0, wanted)


def test_crowds_are_unknown_except_where_a_person_is_traced(coco):
    example = read_coco(*coco)[1].read()
    assert example.weight[0, 0] == 0  # in the crowd
    assert example.weight[20, 20] == 255  # in the crowd, and in the person
    assert example.weight[0, W - 1] == 255
    assert set(np.unique(example.mask)) == {0, 255}


def test_a_run_length_mask_without_crowd_is_a_person(coco):
    rewrite(coco[0], annotations=[annotation(1, 1, PERSON, RIGHT_HALF)])
    mask = read_coco(*coco)[0].read().mask
    assert not mask[:, : W // 2].any()
    assert mask[:, W // 2 :].all()


def test_a_dog_is_nobody(coco):
    example = read_coco(*coco)[2].read()
    assert not example.mask.any()
    assert example.weight.all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [{"id"', "damaged or cut short"),
        ("[1, 2]", "not in COCO's instances format"),
        ('{"annotations": [{"id": 1, "caption": "a dog"}], "images": []}', "instances format"),
        ('{"images": [], "annotations": [], "categories": []}', 'no category "person"'),
    ],
)
def test_wrong_annotation_files_are_named(coco, content, message):
    coco[0].write_text(content)
    with pytest.raises(TrainError, match=message) as caught:
        read_coco(*coco)
    assert str(coco[0]) in str(caught.value)


def test_a_missing_annotation_file_is_named(coco):
    coco[0].unlink()
    with pytest.raises(TrainError, match=r"no annotation file .*instances.json"):
        read_coco(*coco)


def test_nobody_at_all_is_an_error(coco):
    rewrite(coco[0], annotations=[annotation(1, 1, DOG, [SQUARE])])
    with pytest.raises(TrainError, match="nobody is in"):
        read_coco(*coco)


def test_many_absent_pictures_stop(coco):
    (coco[1] / "3.png").unlink()
    with pytest.raises(TrainError, match="1 of 3 pictures are not in"):
        read_coco(*coco)


def test_few_absent_pictures_are_skipped_and_listed(coco, caplog):
    images = [{"id": n, "file_name": f"{n}.png", "height": H, "width": W} for n in range(1, 201)]
    for image in images[:-1]:
        cv2.imwrite(str(coco[1] / image["file_name"]), np.zeros((H, W, 3), np.uint8))
    rewrite(coco[0], images=images)
    with caplog.at_level(logging.WARNING):
        assert len(read_coco(*coco)) == 199
    assert "1 pictures are not in" in caplog.text
    assert "200.png" in caplog.text


def test_a_picture_of_another_size_than_its_annotations_is_an_error(coco):
    cv2.imwrite(str(coco[1] / "1.png"), np.zeros((H, W + 1, 3), np.uint8))
    with pytest.raises(TrainError, match=r"1.png is 61×40, but its mask in the annotations is 60"):
        read_coco(*coco)[0].read()
