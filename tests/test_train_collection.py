"""Which folders teach, which ones judge, and how far their truth goes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from train.collection import training, validation

H, W = 40, 30


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A face and a selfie to learn from and to be judged by; the left halves are people."""
    mask = np.zeros((H, W), np.uint8)
    mask[:, : W // 2] = 255
    for split in ("train", "val"):
        for folder, picture in (("images", np.zeros((H, W, 3), np.uint8)), ("masks", mask)):
            (tmp_path / "people" / split / folder).mkdir(parents=True)
            for name in ("celebamask1000-1", "vk_selfie-1"):
                path = tmp_path / "people" / split / folder / f"{name}.png"
                assert cv2.imwrite(str(path), picture)
    return tmp_path


def test_of_faces_only_what_was_traced_is_learned(data):
    face, selfie = training(data, hard_repeats=1).samples
    weight = face.read().weight
    traced = round(0.65 * H)
    assert (weight[:traced] == 255).all()
    assert (weight[traced:, : W // 2] == 255).all(), "people below are people"
    assert (weight[traced:, W // 2 :] == 0).all(), "shoulders and hands may be there"
    assert (selfie.read().weight == 255).all()


def test_half_traced_people_are_not_pasted_elsewhere(data):
    assert [sample.image.stem for sample in training(data, hard_repeats=1).traced] == [
        "vk_selfie-1"
    ]


def test_all_of_a_held_back_face_is_judged(data):
    (samples,) = validation(data).values()
    assert all((sample.read().weight == 255).all() for sample in samples)
