"""Making the training set: COCO's pictures and people, scaled together, for `train --data`."""

import dataclasses
import json
import logging
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray
from pycocotools import mask as rle

from train import TrainError
from train.coco import (
    MAX_ABSENT,
    SPLITS,
    layout,
    open_coco,
    person_categories,
    samples_by_id,
)
from train.data_config import DataConfig
from train.download import OnProgress, Progress, download
from train.sample import Sample, read_rgb, united

RECORD = "made.json"
JPEG_QUALITY = 95  # the picture's own compression shrinks with it; this should not add to it

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """The pictures of COCO's train2017 or val2017 that go into the set."""

    name: str
    person: dict
    """COCO's record of the category."""
    licenses: list[dict]
    images: dict[int, dict]
    """COCO's record of each picture, by its number: size, license, where it is from."""
    samples: dict[int, Sample]
    """By the same numbers."""


@dataclass(frozen=True)
class Made:
    """What the annotation file says of a picture of the set."""

    image: dict
    regions: dict[int, dict]
    """By COCO's iscrowd: the people (0) and where they are unknown (1), those that are there."""


def main(
    config: DataConfig, progress: Progress = lambda unit: nullcontext(lambda done, total: None)
) -> Path:
    """Make the training set and return its folder; what was made before is not made again.

    Raises TrainError.
    """
    try:
        if config.download:
            download(config.originals, config.url, progress)
        splits = [read_split(config, name) for name in SPLITS]
        check_apart(*splits)
        begin(config)
        for split in splits:
            with progress("pictures") as on_progress:
                made = make(split, config, on_progress)
            people = sum(0 in each.regions for each in made)
            nobody = len(made) - people
            log.info("%s: %d pictures with people, %d with nobody", split.name, people, nobody)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "interrupted: what is done is kept; the same command goes on from there"
        ) from None
    return config.made


def read_split(config: DataConfig, name: str) -> Split:
    """Read a split's annotations and pick its pictures: those with people, some with nobody."""
    annotations, pictures = layout(config.originals, name)
    if not annotations.exists():
        raise TrainError(
            f"no annotation file {annotations}: name the folder of COCO 2017 with --coco, or let "
            "--download fetch it"
        )
    log.info("reading %s", annotations)  # half a minute for COCO's own
    coco = open_coco(annotations)
    samples = samples_by_id(coco, annotations, pictures, speck=config.speck)
    numbers = pick(samples, config.samples if name == SPLITS[0] else None, config)
    log.info("%d of its %d pictures are used", len(numbers), len(samples))
    return Split(
        name=name,
        person=coco.cats[person_categories(coco)[0]],
        licenses=coco.dataset.get("licenses", []),
        images={number: coco.imgs[number] for number in numbers},
        samples={number: samples[number] for number in numbers},
    )


def pick(samples: dict[int, Sample], limit: int | None, config: DataConfig) -> list[int]:
    """Numbers of the pictures to use, sorted; those with crowds or specks alone are of no use."""
    people = [number for number, sample in samples.items() if sample.people]
    nobody = [n for n, sample in samples.items() if not sample.people and not sample.unknown]
    if limit is not None and len(people) < limit:
        log.warning("only %d pictures show people, not %d: all are used", len(people), limit)
    # Both orders are the seed's alone: whoever asks for more gets the same ones, and others.
    people, nobody = (
        default_rng((config.seed, kind)).permutation(numbers).tolist()
        for kind, numbers in enumerate((people, nobody))
    )
    people = people[:limit]
    return sorted(people + nobody[: round(config.negatives * len(people))])


def check_apart(taught: Split, judging: Split) -> None:
    """Raise TrainError for a picture in both splits."""
    twice = taught.samples.keys() & judging.samples.keys()
    if twice:
        raise TrainError(
            f"{len(twice)} pictures are both in {taught.name} and in {judging.name}, number "
            f"{min(twice)} first: are these COCO's own annotations?"
        )


def begin(config: DataConfig) -> None:
    """Make the set's folder, unless it holds another set or something that was not made here."""
    record = config.made / RECORD
    if config.made.is_dir() and any(config.made.iterdir()):
        if not record.exists():
            raise TrainError(
                f"{config.made} holds files that were not made here, perhaps COCO's own: name "
                "another folder with --out"
            )
        size = json.loads(record.read_text("utf-8"))["size"]
        if size != config.size:
            raise TrainError(
                f"{config.made} holds pictures of size {size}, not {config.size}: remove it, or "
                "name another folder with --out"
            )
    asked = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(config).items()
    }
    write_whole(record, json.dumps(asked, indent=2))


def make(split: Split, config: DataConfig, on_progress: OnProgress) -> list[Made]:
    """Write a split's pictures, then its annotations. Raises TrainError if many are damaged."""
    annotations, pictures = layout(config.made, split.name)
    numbers = list(split.samples)
    made, damaged = list[Made](), list[str]()
    # Threads do: OpenCV decodes, scales and encodes without Python's lock.
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        work = partial(make_picture, split, pictures, config.size)
        for done, each in enumerate(pool.map(work, numbers), 1):
            if isinstance(each, Made):
                made.append(each)
            else:
                damaged.append(each)
                check_damage(damaged, len(numbers))
            on_progress(done, len(numbers))
    finally:
        pool.shutdown(cancel_futures=True)  # those begun are ended, so that none is left half
    if damaged:
        log.warning("%d pictures are damaged and are skipped: %s", len(damaged), damaged)
    write_whole(annotations, json.dumps(annotations_of(split, made)))
    return made


def check_damage(damaged: list[str], total: int) -> None:
    """Raise TrainError where that many pictures are no accident."""
    if len(damaged) > MAX_ABSENT * total:
        raise TrainError(
            f"{len(damaged)} of {total} pictures are damaged: {'; '.join(damaged[:3])}; get whole "
            "ones, as with --download"
        )


def make_picture(split: Split, folder: Path, size: int, number: int) -> Made | str:
    """Scale a picture and its truth so that its long side is at most `size`, and write it.

    One that was made before is kept. Return what is wrong with a picture that cannot be used.
    """
    sample, image = split.samples[number], split.images[number]
    source_hw = (image["height"], image["width"])
    scale = min(1.0, size / max(source_hw))
    h, w = (max(1, round(side * scale)) for side in source_hw)
    planes = [united(regions, source_hw) for regions in (sample.people, sample.unknown)]
    if any(plane.shape != source_hw for plane in planes):
        return f"{sample.image} has regions that are not of its size"
    target = folder / f"{number:0>12}.jpg"  # COCO's own way to name them
    if not _is_picture(target, (h, w)):
        try:
            picture = read_rgb(sample.image)
        except TrainError as error:
            return str(error)
        if picture.shape[:2] != source_hw:
            return f"{sample.image} is not of the size that its annotations tell"
        write_picture(target, shrink(picture, (h, w)))
    people, unknown = (shrink(plane, (h, w)) for plane in planes)
    # Known is only what no part of an unknown region was scaled into.
    regions = {0: region_of(people > 127), 1: region_of(unknown > 0)}
    return Made(
        image | {"file_name": target.name, "height": h, "width": w},
        {kind: region for kind, region in regions.items() if rle.area(region)},
    )


def shrink(plane: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Average down to a size; a plane of that size stays as it is."""
    return cv2.resize(plane, size_hw[::-1], interpolation=cv2.INTER_AREA)


def region_of(mask: NDArray[np.bool_]) -> dict:
    """The (H, W) mask as a compressed run-length mask in COCO's form, fit for JSON."""
    region = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    return region | {"counts": region["counts"].decode("ascii")}


def annotations_of(split: Split, made: Iterable[Made]) -> dict:
    """COCO's instances format: all people of a picture are one, all that is unknown a crowd."""
    regions = [
        (each.image["id"], kind, region) for each in made for kind, region in each.regions.items()
    ]
    return {
        "info": {"description": f"people of COCO's {split.name}, scaled; specks are crowds"},
        "licenses": split.licenses,
        "categories": [split.person],
        "images": [each.image for each in made],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": split.person["id"],
                "iscrowd": kind,
                "segmentation": region,
                "area": int(rle.area(region)),
                "bbox": rle.toBbox(region).tolist(),
            }
            for number, (image, kind, region) in enumerate(regions, 1)
        ],
    }


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write an RGB picture as a JPEG."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, packed = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    write_whole(path, packed.tobytes())


def write_whole(path: Path, content: bytes | str) -> None:
    """Write beside, then rename, so that the file is whole or not there. Raises TrainError."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content if isinstance(content, bytes) else content.encode())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise TrainError(
            f"cannot write {path}: {error.strerror or error}; what is made is kept: make room, or "
            "choose a folder that you may write to, and run the same command again"
        ) from error


def _is_picture(path: Path, size_hw: tuple[int, int]) -> bool:
    try:
        return path.exists() and read_rgb(path).shape[:2] == size_hw
    except TrainError:
        return False
