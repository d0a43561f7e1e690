"""What can be scored: folders of pictures, clips as frames, COCO, and whole folders of data."""

from dataclasses import dataclass
from pathlib import Path

from export import ExportError
from export.config import EvaluateConfig
from stream.sources.pictures import pictures_in
from train.coco import read_coco
from train.collection import COMPOSITE, validation
from train.sample import Sample, pairs


@dataclass(frozen=True)
class PictureSet:
    """Pictures that are scored together."""

    name: str
    samples: list[Sample]
    is_clip: bool = False
    """The pictures are a clip's frames, in order."""


def picture_sets(config: EvaluateConfig) -> list[PictureSet]:
    """What the configuration asks for."""
    if config.data:
        return _held_back(config.data)
    if config.coco:
        return [_people_of_coco(config.coco, config.split, config.images)]
    assert config.masks, "EvaluateConfig checks it"
    if config.frames:
        return [_clip("frames", pairs(config.frames, config.masks))]
    assert config.images, "EvaluateConfig checks it"
    return [PictureSet("pictures", pairs(config.images, config.masks))]


def _held_back(data: Path) -> list[PictureSet]:
    groups = validation(data)
    if not groups:
        raise ExportError(
            f"nothing to score in {data}: expected people/val, coco/ or clips/composite there"
        )
    return [
        _clip(name, samples) if name == COMPOSITE else PictureSet(name, samples)
        for name, samples in groups.items()
    ]


def _people_of_coco(coco: Path, split: str, images: Path | None) -> PictureSet:
    """Pictures without people are left out: IoU says nothing of them."""
    if images:
        annotations, pictures, name = coco, images, coco.stem
    else:
        annotations = coco / "annotations" / f"instances_{split}.json"
        pictures, name = coco / split, f"COCO {split}"
    samples = read_coco(annotations, pictures)
    return PictureSet(name, [sample for sample in samples if sample.people])


def _clip(name: str, samples: list[Sample]) -> PictureSet:
    """Frames in the order in which the app plays a folder: 2 comes before 10."""
    order = pictures_in(samples[0].image.parent)
    return PictureSet(name, sorted(samples, key=lambda each: order.index(each.image)), is_clip=True)
