"""One training picture: where it lies, what is known about the people in it, how both are read."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from train import TrainError

SUFFIXES = (".webp", ".jpg", ".jpeg", ".png")

Plane = NDArray[np.uint8]


class Example(NamedTuple):
    """A picture and its truth; all three have the same height and width."""

    image: NDArray[np.uint8]  # (H, W, 3), RGB
    mask: Plane  # (H, W), 0 = background, 255 = person
    weight: Plane  # (H, W), 0 where the truth is unknown, else 255


@dataclass(frozen=True, slots=True)
class Sample:
    """Where an example comes from; without a mask file and without people it is empty of people."""

    image: Path
    mask: Path | None = None
    people: tuple[dict, ...] = ()
    """Compressed run-length masks in COCO's form, united when read."""
    unknown: tuple[dict, ...] = ()
    """Regions, in the same form, where nobody traced the people: crowds."""
    traced_to: float = 1.0
    """Share of the height, from the top, in which all there is of the people was traced."""

    @property
    def is_cut_out(self) -> bool:
        """Whether a mask file has all of the people, so that they can be moved elsewhere."""
        return self.mask is not None and self.traced_to == 1

    def read(self) -> Example:
        """Decode the picture and its truth."""
        image = read_rgb(self.image)
        size_hw = image.shape[:2]
        unknown = united(self.unknown, size_hw)
        mask = united(self.people, size_hw) if self.mask is None else read_gray(self.mask)
        for plane in (mask, unknown):
            if plane.shape != size_hw:
                raise TrainError(
                    f"{self.image} is {_size(image)}, but its mask "
                    f"{self.mask or 'in the annotations'} is {_size(plane)}: scale both together"
                )
        unknown[round(self.traced_to * len(unknown)) :] = 255
        return Example(image, mask, ~unknown | mask)


def pairs(images: Path, masks: Path) -> list[Sample]:
    """Pair NAME.webp (or jpg, png) of one folder with NAME.png of another; none may lack its."""
    mask_of = {path: masks / f"{path.stem}.png" for path in list_pictures(images)}
    missing = [path.name for path, mask in mask_of.items() if not mask.exists()]
    if missing:
        raise TrainError(
            f"{len(missing)} of {len(mask_of)} pictures in {images} have no mask of the same name "
            f"in {masks}, {missing[0]} first"
        )
    return [Sample(path, mask=mask) for path, mask in mask_of.items()]


def without_people(folder: Path) -> list[Sample]:
    """Every picture below a folder of rooms, places, things: nobody is in them."""
    return [Sample(path) for path in list_pictures(folder, "**/*")]


def list_pictures(folder: Path, pattern: str = "*") -> list[Path]:
    """Find the pictures of a folder, sorted, so that a seed always means the same ones."""
    if not folder.is_dir():
        raise TrainError(f"no folder {folder}: check --data, or leave that collection out")
    found = sorted(path for path in folder.glob(pattern) if path.suffix.lower() in SUFFIXES)
    if not found:
        raise TrainError(f"no pictures in {folder}: expected {', '.join(SUFFIXES)}")
    return found


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Decode a picture as (H, W, 3) RGB, its EXIF orientation applied."""
    return _decode(path, cv2.IMREAD_COLOR_RGB)


def read_gray(path: Path) -> Plane:
    """Decode a mask as (H, W)."""
    return _decode(path, cv2.IMREAD_GRAYSCALE)


def read_rgba(path: Path) -> NDArray[np.uint8]:
    """Decode a cut-out as (H, W, 4) RGBA."""
    bgra = _decode(path, cv2.IMREAD_UNCHANGED)
    if bgra.ndim != 3 or bgra.shape[2] != 4:
        raise TrainError(f"{path} has no alpha channel: cut-outs are RGBA PNG")
    return cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA)


def _decode(path: Path, flags: int) -> NDArray[np.uint8]:
    try:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    except (OSError, cv2.error) as error:
        raise TrainError(f"cannot read picture {path}: {error}") from error
    if picture is None:
        raise TrainError(f"cannot read picture {path}: not a picture, or damaged")
    return picture


def united(regions: Iterable[dict], size_hw: tuple[int, int]) -> Plane:
    """Decode compressed run-length masks, in COCO's form, as one (H, W) plane of 0 and 255."""
    regions = list(regions)
    if not regions:
        return np.zeros(size_hw, np.uint8)
    from pycocotools import mask as rle  # here, so that evaluating on folders does without it

    return rle.decode(rle.merge(regions)) * np.uint8(255)


def _size(plane: NDArray) -> str:
    return f"{plane.shape[1]}×{plane.shape[0]}"
