"""COCO's annotations → samples: all people of a picture united, crowds as "ignore"."""

import contextlib
import io
import json
import logging
from pathlib import Path

from pycocotools.coco import COCO

from train import TrainError
from train.sample import Sample

PERSON = "person"
MAX_ABSENT = 0.01  # of the pictures; more than this is a wrong folder, not bad luck

log = logging.getLogger(__name__)


def read_coco(annotations: Path, pictures: Path) -> list[Sample]:
    """Read every picture that an annotation file names; those without people come as empty ones."""
    coco = _open(annotations)
    categories = coco.getCatIds(catNms=[PERSON])
    if not categories:
        raise TrainError(f'{annotations} has no category "{PERSON}": is it an instances_*.json?')
    samples = [_sample(coco, image, categories, pictures) for image in _images(coco, annotations)]
    if not any(sample.people for sample in samples):
        raise TrainError(f"nobody is in {annotations}: no annotation of a {PERSON}")
    return _present(samples, pictures)


def _open(annotations: Path) -> COCO:
    try:
        # pycocotools reports its progress by print(); a room never prints.
        with contextlib.redirect_stdout(io.StringIO()):
            return COCO(annotations)
    except FileNotFoundError as error:
        raise TrainError(f"no annotation file {annotations}") from error
    except json.JSONDecodeError as error:
        raise TrainError(f"{annotations} is damaged or cut short: {error}") from error
    except (AssertionError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise TrainError(f"{annotations} is not in COCO's instances format: {error!r}") from error


def _images(coco: COCO, annotations: Path) -> list[dict]:
    images = [coco.imgs[number] for number in sorted(coco.imgs)]
    if not images:
        raise TrainError(f"{annotations} names no pictures")
    return images


def _sample(coco: COCO, image: dict, categories: list[int], pictures: Path) -> Sample:
    numbers = coco.getAnnIds(imgIds=[image["id"]], catIds=categories)
    people: list[dict] = []
    crowds: list[dict] = []
    for annotation in coco.loadAnns(numbers):
        if annotation["segmentation"]:
            region = coco.annToRLE(annotation)
            (crowds if annotation.get("iscrowd") else people).append(region)
    return Sample(pictures / image["file_name"], people=tuple(people), unknown=tuple(crowds))


def _present(samples: list[Sample], pictures: Path) -> list[Sample]:
    present = [sample for sample in samples if sample.image.is_file()]
    absent = len(samples) - len(present)
    if absent > MAX_ABSENT * len(samples):
        raise TrainError(
            f"{absent} of {len(samples)} pictures are not in {pictures}: is it the folder that "
            "belongs to the annotations?"
        )
    if absent:
        names = [sample.image.name for sample in samples if not sample.image.is_file()]
        log.warning("%d pictures are not in %s and are skipped: %s", absent, pictures, names)
    return present
