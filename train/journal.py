"""What a run leaves in its folder: its configuration, curves, and a checkpoint to go on from."""

import dataclasses
import json
import logging
import math
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from train import TrainError
from train.config import TrainConfig
from train.events import Events
from train.score import Scores

CHECKPOINT = "last.keras"
CONFIG = "config.json"
CURVES = "curves.jsonl"
CHART = "curves.png"
EVENTS = "tensorboard"

log = logging.getLogger(__name__)


class Journal(keras.callbacks.Callback):
    """Keeps the run folder: after each round a line of curves and a checkpoint."""

    def __init__(self, config: TrainConfig, judge: Callable[[], dict[str, Scores]]):
        # Here, because what ships a run reads its journal and needs no charts.
        from train.chart import draw

        super().__init__()
        self.config, self.judge, self.draw = config, judge, draw
        self.events = Events(config.run / EVENTS) if config.tensorboard else None
        self.started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Stop at the first loss that is no number, and say where."""
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            step = steps_moved(self.model)
            raise TrainError(
                f"the loss became {loss} in step {step} (batch {batch} of its round): try a lower "
                f"learning rate than {self.config.learning_rate}"
            )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write down the round; every few rounds look at the validation pictures."""
        line: dict = {"round": epoch + 1, "step": (epoch + 1) * self.config.steps_per_round}
        line |= {"loss": round(float((logs or {})["loss"]), 5)}
        if (epoch + 1) % self.config.judge_every == 0:
            line["scores"] = self.judge()
        save(self.model, self.config.run / CHECKPOINT)
        line["seconds"] = round(time.monotonic() - self.started, 1)
        self.started = time.monotonic()
        lines = [*curves(self.config.run), line]
        write_curves(lines, self.config.run)
        if "scores" in line:
            with beside(self.config.run / CHART) as part:
                self.draw(lines, part)
        if self.events is not None:
            self.events.add(line)
        log.info("%s", line)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Close the event file."""
        if self.events is not None:
            self.events.close()


@contextmanager
def resumable(config: TrainConfig) -> Iterator[None]:
    """Say how to go on when the run is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        done = steps_done(config.run)
        raise KeyboardInterrupt(
            f"interrupted: {done} of {config.steps} steps are kept in {config.run}; "
            + ("the same command with --resume goes on" if done else "nothing to go on from yet")
        ) from None


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A place to write `path` at; it takes its name when the block ends well. Raises TrainError.

    What was there is left by a full disk or a kill.
    """
    part = path.with_name(f".part.{path.name}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise TrainError(f"cannot write {path}: {error}") from error


def save(model: keras.Model, path: Path) -> None:
    """Write a .keras file; what was there stays until it is whole."""
    with beside(path) as part:
        model.save(part)


def open_run(config: TrainConfig, pictures: dict[str, int]) -> None:
    """Make the run folder and write down what the run was asked, and what it learns from."""
    if (config.run / CHECKPOINT).exists() and not config.resume:
        raise TrainError(f"{config.run} holds a run: resume it, or name another folder")
    if config.resume and not (config.run / CHECKPOINT).exists():
        raise TrainError(f"nothing to resume: no {CHECKPOINT} in {config.run}")
    asked = {name: _plain(value) for name, value in dataclasses.asdict(config).items()}
    made_by = {"keras": keras.__version__, "backend": keras.backend.backend()}
    stretch = {"from_step": steps_done(config.run), "planned_steps": config.steps}
    stretches = [*_stretches(config.run), stretch | {"commit": commit()}]
    record = {"config": asked, **made_by, "stretches": stretches, "pictures": pictures}
    for role in ("network", "teacher"):
        record |= {f"{role}_came_from": origin(getattr(config, role))}
    if config.teacher is not None and config.teacher == config.network:
        record["teacher_came_from"] = {"file": config.teacher.name}  # told of once is enough
    write_json(record, config.run / CONFIG)


def origin(network: Path | None) -> dict | None:
    """How a network was made that a run starts or learns from: its card's word, or its run's.

    Its own origins are in there as well, so that no training is forgotten on the way.
    """
    if network is None:
        return None
    card, run = network.with_suffix(".json"), network.parent
    try:
        if card.exists():
            return json.loads(card.read_text())["trained"]
        return {"steps": steps_done(run), **_made(json.loads((run / CONFIG).read_text()))}
    except (OSError, ValueError, KeyError):
        return {"file": network.name}


def _made(record: dict) -> dict:
    """What of a run's record says how its network was made."""
    return {name: value for name, value in record.items() if name != "pictures"}


def write_curves(lines: list[dict], run: Path) -> None:
    """Write what became of every round, a line each, anew: no line is ever half there."""
    write("".join(json.dumps(line) + "\n" for line in lines), run / CURVES)


def write_json(record: dict, path: Path) -> None:
    """Write a record, its folder made first; what was there stays until it is whole."""
    write(json.dumps(record, indent=2) + "\n", path)


def write(text: str, path: Path) -> None:
    """Write a small file, its folder made first; what was there stays until it is whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainError(f"cannot write {path}: {error}") from error
    with beside(path) as part:
        part.write_text(text)


def seconds(run: Path) -> float:
    """How long the run has learned in all, resumed stretches included."""
    return sum(line["seconds"] for line in curves(run))


def steps_done(run: Path) -> int:
    """How many batches the run has learned from."""
    return curves(run)[-1]["step"] if curves(run) else 0


def rounds_done(model: keras.Model, config: TrainConfig) -> int:
    """How many rounds a model has learned, be it resumed or new.

    In float16 weights move less often than steps are made: a step whose gradients overflow is
    passed over. The curves count those too, but a kill can come between a checkpoint and its line.
    """
    return max(steps_moved(model), steps_done(config.run)) // config.steps_per_round


def steps_moved(model: keras.Model) -> int:
    """How often the weights have moved."""
    return int(model.optimizer.iterations.numpy())  # int() alone fails on several devices


def curves(run: Path) -> list[dict]:
    """What the run wrote down after each round."""
    path = run / CURVES
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _stretches(run: Path) -> list[dict]:
    """From where to where the run was planned before: the learning rate follows the plan."""
    path = run / CONFIG
    return json.loads(path.read_text())["stretches"] if path.exists() else []


def commit() -> str | None:
    """The commit of the code, "-dirty" where it was changed since; None outside a checkout."""
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    asked = ["git", "-C", str(Path(__file__).parent), *describe]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else None


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
