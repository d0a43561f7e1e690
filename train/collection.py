"""What lies under --data: which folders teach, which ones judge, and in which groups."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from train import TrainError
from train.coco import layout, read_coco
from train.sample import Sample, list_pictures, pairs, without_people

# A picture's collection is the part of its name before the first "-"; collections that show the
# same kind of picture are judged together.
GROUPS = {
    "portraits": ("portrait_apm",),
    "people": ("supervisely", "vk_selfie", "celebamask1000"),
    "other": ("voc_person", "ccp", "vikram290"),
}
COMPOSITE = "composite"  # the group whose pictures are a clip's frames, in order

HARD = "voc_person-"  # and COCO

# Whose masks are made of parts of the head, neck and clothes: bare shoulders, chests and hands are
# left out. In the lowest twentieth of these pictures a third of what they call background is taken
# for a person by a network that learned from them; in the upper two thirds it is 2 to 7 %.
TRACED_TO = {"celebamask1000": 0.65}


@dataclass(frozen=True)
class Collection:
    """Everything there is to learn from."""

    samples: list[Sample]
    """Pictures with truth, those without people included."""
    backgrounds: list[Path]
    """Rooms and places to paste people into."""
    cutouts: list[Path]
    """People with soft alpha, RGBA, to paste."""
    traced: list[Sample]
    """Pictures whose people are traced well enough to be cut out and pasted elsewhere."""


def training(data: Path, hard_repeats: int) -> Collection:
    """Gather what is there for training; each part may be absent, but somebody must be in it."""
    coco = _if_there(data / "coco", lambda _: _coco(data, "train2017"))
    people = [_as_traced(sample) for sample in _if_there(data / "people" / "train", _people)]
    empty = _if_there(data / "backgrounds", without_people)
    if not coco and not people:
        raise TrainError(f"no people under {data}: expected {data}/coco or {data}/people/train")
    return Collection(
        samples=(coco + [sample for sample in people if _is_hard(sample)]) * (hard_repeats - 1)
        + coco
        + people
        + empty,
        backgrounds=[sample.image for sample in empty],
        cutouts=_if_there(data / "cutouts", list_pictures),
        traced=[sample for sample in people if sample.is_cut_out],
    )


def validation(data: Path) -> dict[str, list[Sample]]:
    """Gather the pictures that training never sees, by group."""
    groups = _by_group(_if_there(data / "people" / "val", _people))
    coco = _if_there(data / "coco", lambda _: _coco(data, "val2017"))
    groups |= {"coco": [sample for sample in coco if sample.people]} if coco else {}
    composite = _if_there(data / "clips" / "composite", _frames)
    return groups | ({COMPOSITE: composite} if composite else {})


def collection_of(name: str) -> str:
    """The collection that a picture of people/ comes from, by its name."""
    return name.split("-")[0]


def census(collection: Collection, data: Path) -> dict[str, int]:
    """Count the pictures of every collection, by the folder (and prefix) that they come from."""
    pictures = {sample.image for sample in collection.samples} | set(collection.cutouts)
    return dict(sorted(Counter(_origin(path, data) for path in pictures).items()))


def _as_traced(sample: Sample) -> Sample:
    return replace(sample, traced_to=TRACED_TO.get(collection_of(sample.image.name), 1.0))


def _is_hard(sample: Sample) -> bool:
    return sample.image.name.startswith(HARD)


def _origin(path: Path, data: Path) -> str:
    folder = path.parent.relative_to(data)
    if folder.name == "images":
        return f"{folder.parent.as_posix()}/{collection_of(path.name)}"
    return folder.as_posix()


def _coco(data: Path, split: str) -> list[Sample]:
    return read_coco(*layout(data / "coco", split))


def _by_group(samples: list[Sample]) -> dict[str, list[Sample]]:
    group_of = {prefix: group for group, prefixes in GROUPS.items() for prefix in prefixes}
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        prefix = collection_of(sample.image.name)
        groups.setdefault(group_of.get(prefix, prefix), []).append(sample)
    return groups


def _people(folder: Path) -> list[Sample]:
    return pairs(folder / "images", folder / "masks")


def _frames(folder: Path) -> list[Sample]:
    return pairs(folder / "frames", folder / "masks")


def _if_there(folder: Path, read: Callable[[Path], list]) -> list:
    return read(folder) if folder.is_dir() else []
