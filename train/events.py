"""A run's curves in TensorBoard's event files."""

from pathlib import Path

from train import TrainError


class Events:
    """Writes one line of curves after another."""

    def __init__(self, folder: Path):
        try:
            from tensorboardX import SummaryWriter  # works with every backend of Keras
        except ImportError as error:
            raise TrainError("cannot write TensorBoard events: pip install tensorboardX") from error
        self.writer = SummaryWriter(str(folder))

    def add(self, line: dict) -> None:
        """Write loss, seconds and scores of a round at its step."""
        groups = line.get("scores", {})
        scalars = {name: line[name] for name in ("loss", "seconds")}
        scalars |= {
            f"{score}/{group}": value
            for group, scores in groups.items()
            for score, value in scores.items()
        }
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, line["step"])
        self.writer.flush()

    def close(self) -> None:
        """End the event file."""
        self.writer.close()
