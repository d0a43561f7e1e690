"""COCO's annotations → samples: all people of a picture united, crowds and specks as "ignore"."""

import contextlib
import io
import json
import logging
from pathlib import Path

from pycocotools import mask as rle
from pycocotools.coco import COCO

from train import TrainError
from train.sample import Sample

PERSON = "person"
SPLITS = ("train2017", "val2017")
MAX_ABSENT = 0.01  # of the pictures; more than this is a wrong folder, not bad luck

log = logging.getLogger(__name__)


def layout(root: Path, split: str) -> tuple[Path, Path]:
    """Where COCO's layout has the annotations and the pictures of a split."""
    return root / "annotations" / f"instances_{split}.json", root / split


def read_coco(annotations: Path, pictures: Path) -> list[Sample]:
    """Read every picture that an annotation file names; those without people come as empty ones."""
    return list(samples_by_id(open_coco(annotations), annotations, pictures).values())


def open_coco(annotations: Path) -> COCO:
    """Load an annotation file that names pictures and has a category for people."""
    try:
        # pycocotools reports its progress by print(); a room never prints.
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(annotations)
    except FileNotFoundError as error:
        raise TrainError(f"no annotation file {annotations}") from error
    except json.JSONDecodeError as error:
        raise TrainError(f"{annotations} is damaged or cut short: {error}") from error
    except (AssertionError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise TrainError(f"{annotations} is not in COCO's instances format: {error!r}") from error
    if not person_categories(coco):
        raise TrainError(f'{annotations} has no category "{PERSON}": is it an instances_*.json?')
    if not coco.imgs:
        raise TrainError(f"{annotations} names no pictures")
    return coco


def person_categories(coco: COCO) -> list[int]:
    """The numbers that this file gives to people: one in COCO's own."""
    return [number for number, category in coco.cats.items() if category.get("name") == PERSON]


def samples_by_id(
    coco: COCO, annotations: Path, pictures: Path, *, speck: float = 0.0
) -> dict[int, Sample]:
    """Every picture that is there, under its number, in their order.

    People that cover a smaller share of the picture than `speck` are unknown, as crowds are.
    `annotations` is the file that `coco` was read from.
    """
    try:
        samples = {n: _sample(coco, coco.imgs[n], pictures, speck) for n in sorted(coco.imgs)}
    except KeyError as error:
        raise TrainError(f"{annotations} is not in COCO's instances format: {error!r}") from error
    if not any(sample.people for sample in samples.values()):
        raise TrainError(f"nobody is in {annotations}: no annotation of a {PERSON}")
    return _present(samples, pictures)


def _sample(coco: COCO, image: dict, pictures: Path, speck: float) -> Sample:
    numbers = coco.getAnnIds(imgIds=[image["id"]], catIds=person_categories(coco))
    people: list[dict] = []
    unknown: list[dict] = []
    for annotation in coco.loadAnns(numbers):
        if annotation["segmentation"]:
            region = coco.annToRLE(annotation)
            is_speck = rle.area(region) < speck * image["height"] * image["width"]
            (unknown if annotation.get("iscrowd") or is_speck else people).append(region)
    return Sample(pictures / image["file_name"], people=tuple(people), unknown=tuple(unknown))


def _present(samples: dict[int, Sample], pictures: Path) -> dict[int, Sample]:
    present = {number: sample for number, sample in samples.items() if sample.image.is_file()}
    absent = [samples[number].image.name for number in sorted(samples.keys() - present.keys())]
    if len(absent) > MAX_ABSENT * len(samples):
        raise TrainError(
            f"{len(absent)} of {len(samples)} pictures are not in {pictures}: is it the folder "
            "that belongs to the annotations?"
        )
    if absent:
        log.warning("%d pictures are not in %s and are skipped: %s", len(absent), pictures, absent)
    return present
