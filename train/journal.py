"""What a run leaves in its folder: its configuration, curves, and a checkpoint to go on from."""

import dataclasses
import json
import logging
import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import keras

from train import TrainError
from train.config import TrainConfig
from train.score import Scores

CHECKPOINT = "last.keras"
CONFIG = "config.json"
CURVES = "curves.jsonl"

log = logging.getLogger(__name__)


class Journal(keras.callbacks.Callback):
    """Keeps the run folder: after each round a line of curves and a checkpoint."""

    def __init__(self, config: TrainConfig, judge: Callable[[], dict[str, Scores]]):
        super().__init__()
        self.config, self.judge, self.started = config, judge, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Stop at the first loss that is no number, and say where."""
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            step = int(self.model.optimizer.iterations)
            raise TrainError(
                f"the loss became {loss} in step {step} (batch {batch} of its round): try a lower "
                f"learning rate than {self.config.learning_rate}"
            )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write down the round; every few rounds look at the validation pictures."""
        line: dict = {"round": epoch + 1, "step": int(self.model.optimizer.iterations)}
        line |= {"loss": round(float((logs or {})["loss"]), 5)}
        if (epoch + 1) % self.config.judge_every == 0:
            line["scores"] = self.judge()
        save(self.model, self.config.run / CHECKPOINT)
        line["seconds"] = round(time.monotonic() - self.started, 1)
        self.started = time.monotonic()
        with (self.config.run / CURVES).open("a") as file:
            file.write(json.dumps(line) + "\n")
        log.info("%s", line)


def save(model: keras.Model, path: Path) -> None:
    """Save so that a full disk or a kill leaves the file that was there before."""
    part = path.with_name(f".{path.name}.part.keras")
    try:
        model.save(part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise TrainError(f"cannot write {path}: {error}") from error


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
    write_json(record, config.run / CONFIG)


def write_json(record: dict, path: Path) -> None:
    """Write a record, its folder made first."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=2) + "\n")
    except OSError as error:
        raise TrainError(f"cannot write {path}: {error}") from error


def seconds(run: Path) -> float:
    """How long the run has learned in all, resumed stretches included."""
    return sum(line["seconds"] for line in curves(run))


def steps_done(run: Path) -> int:
    """How many batches the run has learned from."""
    return curves(run)[-1]["step"] if curves(run) else 0


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
