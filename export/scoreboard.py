"""What an evaluation found: rows, means, tables and the JSON file."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from export import ExportError
from train.collection import GROUPS, collection_of
from train.metrics import Alpha
from train.sample import Sample

Row = dict[str, float]  # a picture's scores by name
Table = tuple[list[str], list[list[str]]]  # titles and rows

YARDSTICK = "MediaPipe Selfie"  # the network that a forward pass is measured in
COLUMNS = {  # how people call a score, and how many digits are worth reading
    "iou": ("IoU", "{:.3f}"),
    "boundary_f": ("F", "{:.3f}"),
    "mad": ("MAD", "{:.4f}"),
    "mse": ("MSE", "{:.4f}"),
    "grad": ("Grad", "{:6.3f}"),
    "conn": ("Conn", "{:6.3f}"),
    "dtssd": ("dtSSD", "{:.2f}"),
}


@dataclass(frozen=True, eq=False)
class Case:
    """One picture's scores with the matte that earned them."""

    sample: Sample
    alpha: Alpha
    row: Row


@dataclass(frozen=True)
class Evaluation:
    """How one method did on one set of pictures."""

    method: str
    pictures: str
    rows: dict[str, Row]
    """By picture name."""
    worst: list[Case] = field(default_factory=list)
    """The cases of the lowest IoU, worst first, as many as were asked for."""

    @property
    def means(self) -> Row:
        """Each score's mean over the pictures that have it: flicker needs a frame before."""
        rows = list(self.rows.values())
        names = [name for name in COLUMNS if any(name in row for row in rows)]
        return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}

    def parts(self) -> list["Evaluation"]:
        """The same, collection by collection, where the pictures are of several known ones."""
        names = GROUPS.get(self.pictures, ())
        parts = (
            Evaluation(
                self.method, name, {p: r for p, r in self.rows.items() if collection_of(p) == name}
            )
            for name in names
        )
        return [part for part in parts if part.rows] if len(names) > 1 else []


@dataclass(frozen=True)
class ForwardPass:
    """How long one network takes for one picture that lies ready in its input."""

    network: str
    input_hw: tuple[int, int]
    median_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Scoreboard:
    """Everything that one call found."""

    evaluations: list[Evaluation]
    passes: list[ForwardPass]

    def tables(self) -> list[Table]:
        """For people: the scores, and what a forward pass costs where that was asked for."""
        return [self._scores(), *([self._costs()] if self.passes else [])]

    def _scores(self) -> Table:
        names = [name for name in COLUMNS if any(name in each.means for each in self.evaluations)]
        titles = ["", "count", *(COLUMNS[name][0] for name in names)]
        sets: dict[str, list[Evaluation]] = {}
        for each in self.evaluations:
            sets.setdefault(each.pictures, []).append(each)
        rows: list[list[str]] = []
        for pictures, [first, *others] in sets.items():
            if others:  # side by side: the set as a heading, then a line a method
                rows.append([pictures, str(len(first.rows)), *("" for _ in names)])
                below = [(each.method, "", each) for each in (first, *others)]
            else:
                rows.append([pictures, str(len(first.rows)), *_written(first, names)])
                below = [(part.pictures, str(len(part.rows)), part) for part in first.parts()]
            rows += [[f"  {name}", count, *_written(e, names)] for name, count, e in below]
        return titles, rows

    def _costs(self) -> Table:
        titles = ["forward pass, two threads", "input", "median ms", "95 % ms", f"× {YARDSTICK}"]
        by = next((each.median_ms for each in self.passes if each.network == YARDSTICK), None)
        return titles, [
            [
                each.network,
                f"{each.input_hw[0]}×{each.input_hw[1]}",
                f"{each.median_ms:6.2f}",
                f"{each.p95_ms:6.2f}",
                f"{each.median_ms / by:.2f}" if by else "–",
            ]
            for each in self.passes
        ]

    def write(self, path: Path) -> None:
        """Write all means, and the scores of every picture, as JSON."""
        record = {
            "evaluations": [
                {
                    "method": each.method,
                    "pictures": each.pictures,
                    "count": len(each.rows),
                    "means": each.means,
                    "parts": {part.pictures: part.means for part in each.parts()},
                    "rows": each.rows,
                }
                for each in self.evaluations
            ],
            "forward passes": [vars(each) for each in self.passes],
        }
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")
            part.replace(path)
        except OSError as error:
            raise ExportError(f"cannot write {path}: {error}") from error
        finally:
            part.unlink(missing_ok=True)


def _written(evaluation: Evaluation, names: list[str]) -> list[str]:
    means = evaluation.means
    return [COLUMNS[name][1].format(means[name]) if name in means else "–" for name in names]
