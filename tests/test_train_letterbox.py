"""Training and the app letterbox alike, though neither room imports the other."""

import cv2
import numpy as np
import pytest

from stream.letterbox import Letterbox
from stream.segmenter import Segmenter
from stream.sources.pictures import read_picture
from train.letterbox import PADDING, letterbox, place, unletterbox

SIZES = [(256, 256), (192, 352), (352, 192)]


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize(
    "picture_hw", [(720, 1280), (1080, 1920), (481, 640), (333, 77), (1, 300), (256, 256), (20, 21)]
)
def test_the_picture_lies_where_the_app_puts_it(picture_hw, size_hw):
    theirs = Letterbox.fit(picture_hw, size_hw)
    assert place(picture_hw, size_hw) == (*theirs.origin, *theirs.content_hw)


class Listener:
    """A backend that keeps the image which the app shows to the network."""

    name = "listener"

    def __init__(self, size_hw: tuple[int, int]):
        self.size_hw = size_hw

    def fit(self, display_hw: tuple[float, float]) -> tuple[int, int]:
        return self.size_hw

    def infer(self, image: np.ndarray, previous: np.ndarray) -> np.ndarray:
        self.image = image.copy()
        return image[..., :1] / 255

    def close(self) -> None:
        pass


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("picture_hw", [(300, 500), (500, 300), (90, 70), (352, 264)])
def test_the_network_sees_what_the_app_shows_it(tmp_path, picture_hw, size_hw):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 9, 3), np.uint8)
    picture = cv2.resize(coarse, picture_hw[::-1], interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "picture.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    backend = Listener(size_hw)
    Segmenter(backend).segment(read_picture(tmp_path / "picture.png").frame)
    ours = letterbox(picture, size_hw).astype(np.float32)
    # The app shrinks by halves first, and rounds to whole levels at each step.
    assert np.abs(backend.image[0] - ours).max() <= 2.01


def test_letterbox_and_back_lands_on_the_same_pixel():
    disk = np.zeros((300, 200), np.uint8)
    cv2.circle(disk, (60, 220), 40, 255, -1)
    alpha = letterbox(disk, (256, 256), padding=0).astype(np.float32) / 255
    back = unletterbox(alpha, disk.shape)
    assert np.abs(back - disk / 255.0).mean() < 0.005
    assert ((back > 0.5) ^ (disk > 127)).mean() < 0.002


def test_padding_is_the_networks_zero():
    boxed = letterbox(np.zeros((10, 20, 3), np.uint8), (64, 64))
    assert (boxed[0] == PADDING).all()
