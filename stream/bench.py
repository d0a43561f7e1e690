"""bench(config): how fast this machine does it, alone or in turns with something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from stream.bench_config import BenchConfig
from stream.bench_line import BenchLine
from stream.bench_report import (
    Part,
    Result,
    Table,
    peak_rss_mb,
    read_result,
    tables,
    versus,
    write_json,
)
from stream.main import held

_ROUNDS = 5  # each contender's frames come in so many parts, in turns with the others'


class Contender(Protocol):
    """Something that carries frames and is timed."""

    name: str

    def run(self, frames: int) -> Part:
        """Warm up, carry so many frames, and tell what it took."""
        ...

    def result(self, parts: Sequence[Part], peak_rss_mb: float | None) -> Result:
        """The figures of all its parts."""
        ...

    def close(self) -> None:
        """Free what it holds; safe to call twice."""
        ...


OpenContenders = Callable[[BenchConfig], Sequence[Contender]]
OnFrames = Callable[[int, int | None], None]  # (frames done, of how many)


def bench(
    config: BenchConfig,
    open_others: OpenContenders | None = None,
    on_frames: OnFrames = lambda done, total: None,
) -> list[Table]:
    """Measure, write the files asked for, and return what there is to show.

    `open_others` makes what is measured in turns with the app. Raises StreamError.
    """
    if config.plot is not None:
        from stream.bench_plot import draw  # before minutes are spent: it may not be installed
    if config.video is not None:
        from stream.transcode import against_transcode

        return against_transcode(config, on_frames)
    results = _kept(config) or _measured(config, open_others, on_frames)
    if config.json is not None:
        write_json(results, config.json)
    if config.plot is not None:
        draw(results, config.plot)
    return tables(results[0]) if len(results) == 1 else [versus(results)]


def _kept(config: BenchConfig) -> list[Result]:
    """The results that are to be compared, where they are files."""
    if config.compare is None or not all(word.endswith(".json") for word in config.compare):
        return []
    return [replace(read_result(Path(word)), name=word) for word in config.compare]


def _measured(
    config: BenchConfig, open_others: OpenContenders | None, on_frames: OnFrames
) -> list[Result]:
    with ExitStack() as stack:
        contenders: list[Contender] = []
        for word in config.compare or ("this program",):
            setting = config.with_setting(word) if config.compare else config
            contenders.append(held(stack, BenchLine(setting, word)))
        if open_others is not None:
            contenders += [held(stack, each) for each in open_others(config)]
        parts = in_turns(contenders, config.frames, on_frames)
        alone = peak_rss_mb() if len(contenders) == 1 else None
        return [each.result(own, alone) for each, own in zip(contenders, parts, strict=True)]


def in_turns(contenders: Sequence[Contender], frames: int, on_frames: OnFrames) -> list[list[Part]]:
    """Each contender's parts. What else the machine does meanwhile disturbs all alike."""
    rounds = min(_ROUNDS, frames)
    parts: list[list[Part]] = [[] for _ in contenders]
    done, total = 0, frames * len(contenders)
    for number in range(rounds):
        count = frames * (number + 1) // rounds - frames * number // rounds
        order = list(zip(contenders, parts, strict=True))
        for contender, own in order if number % 2 == 0 else order[::-1]:
            own.append(contender.run(count))
            done += count
            on_frames(done, total)
    return parts
