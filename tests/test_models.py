"""The shipped networks, run as the app runs them: what they promise on real pictures."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream.backends import open_backend
from stream.interfaces import Backend
from stream.networks import SHIPPED, network_file

HW = (160, 288)
ROOT = Path(__file__).parent.parent


@pytest.fixture(params=[(name, precision) for name in SHIPPED for precision in ("fp32", "int8")])
def network(request: pytest.FixtureRequest):
    """Each network that is shipped, in each precision."""
    with closing(open_backend(network_file(*request.param))) as backend:
        yield backend


def mattes(backend: Backend, images: list[np.ndarray], before: list[np.ndarray]) -> np.ndarray:
    """The alphas (N, H, W) of images (H, W, 3), each after its own matte before (H, W)."""
    input_hw = backend.fit((float(HW[0]), float(HW[1])))
    alphas = []
    for image, matte in zip(images, before, strict=True):
        sized = cv2.resize(image, input_hw[::-1], interpolation=cv2.INTER_AREA)
        previous = cv2.resize(matte, input_hw[::-1])
        alpha = backend.infer(
            sized[np.newaxis].astype(np.float32),
            previous[np.newaxis, ..., np.newaxis].astype(np.float32),
        )
        alphas.append(alpha[0, :, :, 0].copy())
    return np.stack(alphas)


def pictures(folder: Path, count: int) -> list[np.ndarray]:
    paths = sorted(folder.iterdir())
    return [cv2.imread(str(p), cv2.IMREAD_COLOR_RGB) for p in paths[:: len(paths) // count]][:count]


def masks(shared: Path, stem: str, count: int) -> list[np.ndarray]:
    paths = sorted((shared / "data" / "people" / "val" / "masks").glob(f"{stem}-*"))[:count]
    return [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) / np.float32(255) for path in paths]


def test_a_person_who_has_left_leaves_no_ghost(network, shared) -> None:
    rooms = pictures(shared / "data" / "backgrounds" / "places", 24)
    people = masks(shared, "portrait_apm", 24)
    alone = mattes(network, rooms, [np.zeros_like(person) for person in people])
    after = mattes(network, rooms, people)
    appeared = (after > 0.5).mean((1, 2)) - (alone > 0.5).mean((1, 2))
    assert appeared.mean() < 0.03  # of the picture; the people before filled 45 % of it


def test_a_still_person_is_held(network, shared) -> None:
    """With its own matte before it, a picture's matte stays where it is."""
    faces = pictures(shared / "data" / "people" / "val" / "images", 24)
    first = mattes(network, faces, [np.zeros(HW, np.float32)] * len(faces))
    second = mattes(network, faces, list(first))
    third = mattes(network, faces, list(second))
    moved, moved_then = (np.abs(b - a).mean() for a, b in ((first, second), (second, third)))
    assert moved_then < moved  # it settles
    assert ((first > 0.5) == (third > 0.5)).mean() > 0.96


SHOWN = """
import sys
from pathlib import Path
import numpy as np
from stream.backends import open_backend
from stream.backends.trial import probe
backend = open_backend(Path(sys.argv[1]))
np.save(sys.argv[2], backend.infer(*probe(backend.fit((160.0, 288.0)))))
"""


@pytest.mark.parametrize("name", SHIPPED)
def test_eight_bits_need_no_processor_of_the_last_years(name: str, tmp_path: Path) -> None:
    """Without VNNI, products are added in 16 bits, two and two: they must not overflow."""
    alphas = []
    for limit in ({}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}):
        words = [str(network_file(name, "int8")), str(tmp_path / "alpha.npy")]
        subprocess.run(
            [sys.executable, "-c", SHOWN, *words], check=True, env=os.environ | limit, cwd=ROOT
        )
        alphas.append(np.load(tmp_path / "alpha.npy"))
    assert alphas[0].std() > 0.001
    assert np.abs(alphas[0] - alphas[1]).mean() < 1e-4
