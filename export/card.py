"""The card of a shipped network: what it learned from, how good it is, what it cannot do."""

import json
from collections.abc import Sequence
from pathlib import Path

from export import ExportError
from export.parity import Difference
from train.config import TrainConfig
from train.journal import CONFIG, origin, seconds, steps_done

# Terms by the part of a collection's path that names it; a collection without an entry is listed
# with unstated terms, never left out.
TERMS = {
    "coco": "pictures: Flickr, Creative Commons, each its own; annotations: CC BY 4.0",
    "supervisely": "Supervisely Person: non-commercial",
    "celebamask1000": "CelebAMask-HQ: non-commercial research",
}
PLACES = ("data", "run", "resume")  # of one machine, and of no interest on another
ORIGINS = ("network_came_from", "teacher_came_from")
UNSTATED = "terms of the photos not stated by their publishers"

LIMITS = (
    "Learned mostly from stock photos, selfies and portraits of adults, many posed and well lit; "
    "nobody counted skin tones, ages, body shapes, head coverings or wheelchairs, so expect it to "
    "be less sure where such pictures have few of the kind. Small and far people, crowds, people "
    "behind things and hands that hold things are its weak side; bags come and go, dark clothes "
    "before dark walls fade, animals in somebody's arms are half kept. "
    "It is no means of hiding what must stay hidden."
)


def card(
    run: Path,
    scores: dict[str, dict],
    parity: list[Difference],
    blend: Sequence[Path] = (),
    belief: float = 1.0,
) -> dict:
    """Everything worth knowing about the network that a run made."""
    record = _record(run)
    config = {k: _file_name(k, v) for k, v in record["config"].items() if k not in PLACES}
    return {
        "input": "image (1, H, W, 3) float32, RGB 0-255; H and W multiples of 32; previous "
        "(1, H, W, 1) float32: the alpha of the frame before, zeros at a start or a cut",
        "output": "alpha (1, H, W, 1) float32, 0 = background, 1 = person",
        "license": "see LICENSE beside this file: non-commercial",
        "trained": {
            "steps": steps_done(run),
            "hours": round(seconds(run) / 3600, 2),
            "command": _command(config),
            **{name: record[name] for name in ("stretches", "keras", "backend")},
            "config": config,
            **({"blended": _mean_with(blend)} if blend else {}),
            **({"belief": belief} if belief != 1 else {}),
            **{name: _placeless(record[name]) for name in ORIGINS if record.get(name)},
        },
        "data": {
            name: {"pictures": count, "terms": _terms(name)}
            for name, count in record["pictures"].items()
        },
        "scores": scores,
        "scored": "run as the app runs it; iou and boundary_f at alpha 0.5, means over pictures",
        "largest difference from Keras": max(row.largest for row in parity),
        "limits": LIMITS,
    }


def _record(run: Path) -> dict:
    try:
        return json.loads((run / CONFIG).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ExportError(f"{run} is no training run: {error}") from error


def _command(config: dict) -> str:
    """The command line that trains such a network again."""
    changed = {name: value for name, value in config.items() if value != getattr(TrainConfig, name)}
    typed = {name: str(v).lower() if isinstance(v, bool) else v for name, v in changed.items()}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in typed.items()]
    return " ".join(["python run.py train --data DATA", *flags])


def _mean_with(networks: Sequence[Path]) -> dict:
    """What the mean is of beside the run; how those came about, but for what they started from."""
    made = [_placeless(origin(network) or {}) for network in networks]
    brief = [{name: each[name] for name in each if name not in ORIGINS} for each in made]
    return {"the mean, weight by weight, with": brief}


def _placeless(made: dict) -> dict:
    """How a network was made, without the folders of the machine that made it."""
    kept = {}
    for name, value in made.items():
        if name in ORIGINS and value:
            kept[name] = _placeless(value)
        elif name == "config":
            kept[name] = {k: _file_name(k, v) for k, v in value.items() if k not in PLACES}
        elif value is not None:
            kept[name] = value
    return kept


def _file_name(choice: str, value: object) -> object:
    """Of the networks that a run took, the name alone."""
    taken = ("network", "teacher", "detector")
    return Path(str(value)).name if choice in taken and value else value


def _terms(collection: str) -> str:
    return next((terms for part, terms in TERMS.items() if part in collection), UNSTATED)


def write_card(entries: dict, path: Path) -> None:
    """Write a card as JSON."""
    try:
        path.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error}") from error
