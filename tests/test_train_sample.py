"""Pictures and masks in folders, and what can be wrong with them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from train import TrainError
from train.sample import Sample, list_pictures, pairs, read_rgb, read_rgba, without_people


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for name in ("b.webp", "a.jpg", "c.png"):
        picture = rng.integers(0, 256, (30, 20, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "images" / name), picture)
        mask = np.full((30, 20), 255 if name == "c.png" else 0, np.uint8)
        cv2.imwrite(str(tmp_path / "masks" / f"{name[0]}.png"), mask)
    return tmp_path


def test_pairs_come_sorted_with_the_mask_of_the_same_stem(folder):
    samples = pairs(folder / "images", folder / "masks")
    assert [sample.image.name for sample in samples] == ["a.jpg", "b.webp", "c.png"]
    assert [bool(sample.read().mask.all()) for sample in samples] == [False, False, True]


def test_pictures_are_rgb(tmp_path):
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes blue, green, red
    cv2.imwrite(str(tmp_path / "red.png"), red)
    assert read_rgb(tmp_path / "red.png")[0, 0].tolist() == [255, 0, 0]


def test_a_picture_without_mask_is_an_error(folder):
    (folder / "masks" / "b.png").unlink()
    with pytest.raises(TrainError, match=r"1 of 3 pictures .* b.webp first"):
        pairs(folder / "images", folder / "masks")


def test_a_mask_of_another_size_is_an_error(folder):
    cv2.imwrite(str(folder / "masks" / "a.png"), np.zeros((31, 20), np.uint8))
    with pytest.raises(TrainError, match=r"a.jpg is 20×30, but its mask .*a.png is 20×31"):
        pairs(folder / "images", folder / "masks")[0].read()


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_damaged_picture_is_named(folder, content):
    (folder / "images" / "a.jpg").write_bytes(content)
    with pytest.raises(TrainError, match=r"cannot read picture .*a.jpg"):
        pairs(folder / "images", folder / "masks")[0].read()


def test_rooms_have_nobody_in_them(folder):
    samples = without_people(folder / "images")
    assert len(samples) == 3
    assert not any(sample.read().mask.any() for sample in samples)
    assert all(sample.read().weight.all() for sample in samples)


def test_a_folder_that_is_missing_or_empty_is_an_error(tmp_path):
    with pytest.raises(TrainError, match="no folder"):
        list_pictures(tmp_path / "absent")
    with pytest.raises(TrainError, match="no pictures in"):
        list_pictures(tmp_path)


def test_a_cutout_needs_alpha(folder):
    with pytest.raises(TrainError, match="no alpha channel"):
        read_rgba(folder / "images" / "c.png")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TrainError, match=r"cannot read picture .*gone.png"):
        Sample(tmp_path / "gone.png").read()
