"""Replaces the background of people in calls, clips and pictures.

For everybody:

    python run.py live
    python run.py video talk.mp4 talk-blurred.mp4
    python run.py video talk.mp4 talk.webm --background transparent
    python run.py video monday.mp4 tuesday.mov blurred/
    python run.py image portrait.jpg portrait.png --background '#00b140'
    python run.py bench
    python run.py doctor

For makers of networks:

    python run.py data --download
    python run.py train --data data
    python run.py export runs/person
    python run.py export models/person.keras OUT_DIR --precision fp16
    python run.py evaluate --data DATA --sheet worst.png
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter

from export import ExportError
from export.config import EvaluateConfig, ExportConfig
from stream import StreamError
from stream.bench_config import BenchConfig
from stream.config import ImageConfig, LiveConfig, VideosConfig, WrongUsage
from stream.signals import ended_by_signals
from train import TrainError
from train.config import TrainConfig
from train.data_config import DataConfig

if TYPE_CHECKING:
    from stream.report import Report, Reports

app = App(
    name="run.py",
    help=__doc__,
    version_flags=(),
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # main() has more to say
    default_parameter=Parameter(negative=()),
)
_LIVE_DEFAULTS, _BENCH_DEFAULTS = LiveConfig(), BenchConfig()
_DATA_DEFAULTS, _TRAIN_DEFAULTS = DataConfig(), TrainConfig()


@app.command
def live(config: Annotated[LiveConfig, Parameter(name="*")] = _LIVE_DEFAULTS) -> int:
    """Replace the background of a webcam, for calls, through a virtual camera."""
    from stream.live import live
    from stream.terminal import status_line

    with status_line() as on_second:
        report = live(config, on_second)
    return _close(report)


@app.command
def video(config: Annotated[VideosConfig, Parameter(name="*")]) -> int:
    """Replace the background of recorded clips; sound, timing and colors stay."""
    from stream.many import videos
    from stream.terminal import progress

    with progress("frames") as on_progress:
        reports = videos(config, on_progress)
    return _close(reports)


@app.command
def image(config: Annotated[ImageConfig, Parameter(name="*")]) -> int:
    """Replace the background of pictures."""
    from stream.main import image
    from stream.terminal import progress

    with progress("pictures") as on_progress:
        report = image(config, on_progress)
    return _close(report)


@app.command
def bench(config: Annotated[BenchConfig, Parameter(name="*")] = _BENCH_DEFAULTS) -> int:
    """Measure whole frames, from captured to delivered: how many a second, how late, how dear."""
    from stream.bench import bench
    from stream.terminal import progress, show_table

    with progress("frames") as on_frames:
        if config.peers is None:
            tables = bench(config, on_frames=on_frames)
        else:
            from export.peer_lines import open_peer_lines

            tables = bench(config, open_peer_lines, on_frames)
    for titles, rows in tables:
        show_table(titles, rows)
    return 0


@app.command
def doctor() -> int:
    """Show what this machine has, and what to do about what it lacks."""
    from stream.doctor import examine
    from stream.terminal import show_table

    findings = examine()
    rows = [["yes" if f.is_there else "no", f.subject, f.what, f.remedy] for f in findings]
    show_table(["", "part", "found", "what to do"], rows)
    return 0


@app.command
def data(config: Annotated[DataConfig, Parameter(name="*")] = _DATA_DEFAULTS) -> int:
    """Make a training set out of COCO 2017; needs requirements-train.txt."""
    from stream.terminal import progress
    from train.data import main

    print(f"training set: {main(config, progress)}")
    return 0


@app.command
def train(config: Annotated[TrainConfig, Parameter(name="*")] = _TRAIN_DEFAULTS) -> int:
    """Train the network on folders of people; needs requirements-train.txt."""
    from train.main import main

    print(f"network: {main(config).network}")
    return 0


@app.command
def evaluate(config: Annotated[EvaluateConfig | None, Parameter(name="*")] = None) -> int:
    """Score a network, run as the app runs it, on pictures whose masks are known."""
    from export.evaluate import main
    from stream.terminal import progress, show_table

    with progress("pictures") as on_picture:
        board = main(config or EvaluateConfig(), on_picture)
    for titles, rows in board.tables():
        show_table(titles, rows)
    return 0


@app.command
def export(config: Annotated[ExportConfig, Parameter(name="*")]) -> int:
    """Ship a training run, or a .keras file, as ONNX and engine, held to Keras, with a card."""
    if config.is_file:
        return _convert(config)
    from export.main import main

    print(f"network: {main(config)}")
    return 0


def _convert(config: ExportConfig) -> int:
    from export.convert import convert
    from stream.terminal import show_table

    done = convert(config)
    show_table(*done.table)
    print(f"compared on {done.frames}", f"engine: {done.engine}", sep="\n")
    print(f"network: {done.network}")
    return 0


def _close(report: Report | Reports) -> int:
    """Print the closing report; 1 if anything is missing."""
    print(*report.lines(), sep="\n")
    for complaint in report.complaints:
        print(f"run.py: {complaint}", file=sys.stderr)
    return 1 if report.complaints else 0


def main(argv: list[str] | None = None) -> int:
    """Run one command. 0 done, 1 failed with a message, 2 wrong usage, 130 interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        with ended_by_signals():
            return app(argv, exit_on_error=False, print_error=False) or 0
    except (CycloptsError, WrongUsage) as error:
        print(f"run.py: {error} (run.py COMMAND --help shows what there is)", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"run.py: {str(interrupt) or 'interrupted'}", file=sys.stderr)
        return 130
    except (StreamError, TrainError, ExportError) as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
