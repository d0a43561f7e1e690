"""What a benchmark measured: as a table, as JSON, and as ratios to another."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import Any

from stream import StreamError
from stream.meter import percentile
from stream.staging import staged

Table = tuple[list[str], list[list[str]]]  # (titles, rows)

FORMAT = 1  # of the JSON files; another is not read
_PERCENTS = (50, 95, 99)
_LIBRARIES = ("av", "numba", "numpy", "opencv-python", "opencv-python-headless", "openvino")


@dataclass(frozen=True, slots=True)
class Part:
    """What a stretch of frames took, the first ones, which warm everything up, left out."""

    frames: int
    seconds: float
    cpu_s: float
    ages_ms: list[float]  # from captured to delivered
    stages_ms: dict[str, list[float]] = field(default_factory=dict)
    network_runs: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one contender; the fields are the keys of the JSON file."""

    name: str
    fps: float
    frames: int
    dropped: int
    network_runs: int
    size: tuple[int, int]  # h, w
    background: str
    rate: float | None
    engine: str
    precision: str | None
    threads: int
    cpu_ms_per_frame: float
    peak_rss_mb: float | None
    latency_ms: dict[str, float]  # p50, p95, p99, max
    stages_ms: dict[str, dict[str, float]]  # name: p50, p95, mean
    rounds_fps: list[float]
    rounds_cpu_ms: list[float]
    histogram: dict[str, list[float]]  # of latency: edges_ms, counts
    environment: dict[str, str]
    format: int = FORMAT


def pooled(parts: Sequence[Part], **known: Any) -> Result:
    """One result out of all parts: rates are medians over them, latencies are theirs together."""
    ages = [age for part in parts for age in part.ages_ms]
    stages: dict[str, list[float]] = {}
    for part in parts:
        for stage, spent in part.stages_ms.items():
            stages.setdefault(stage, []).extend(spent)
    rounds_fps = [part.frames / part.seconds for part in parts]
    rounds_cpu_ms = [1000 * part.cpu_s / part.frames for part in parts]
    return Result(
        fps=median(rounds_fps),
        frames=sum(part.frames for part in parts),
        dropped=sum(part.dropped for part in parts),
        network_runs=sum(part.network_runs for part in parts),
        cpu_ms_per_frame=median(rounds_cpu_ms),
        latency_ms={**_percentiles(ages), "max": max(ages)},
        stages_ms={name: _stage(spent) for name, spent in stages.items()},
        rounds_fps=rounds_fps,
        rounds_cpu_ms=rounds_cpu_ms,
        histogram=_histogram(ages),
        environment=environment(),
        **known,
    )


def _stage(spent: list[float]) -> dict[str, float]:
    p50, p95, _ = _percentiles(spent).values()
    return {"p50": p50, "p95": p95, "mean": mean(spent)}


def _percentiles(values: Iterable[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"p{percent}": percentile(ordered, percent) for percent in _PERCENTS}


def _histogram(ages: list[float], bins: int = 40) -> dict[str, list[float]]:
    """Up to the last hundredth, so that one late frame does not press all others into a bin."""
    low, high = min(ages), _percentiles(ages)["p99"]
    step = max((high - low) / bins, 1e-3)
    counts = [0] * bins
    for age in ages:
        counts[min(bins - 1, int((age - low) / step))] += 1
    return {
        "edges_ms": [low + step * edge for edge in range(bins + 1)],
        "counts": [*map(float, counts)],
    }


def peak_rss_mb() -> float | None:
    """The most memory that this process has held so far; None where it cannot be told."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def environment() -> dict[str, str]:
    """Versions and machine, so that a figure can be placed."""
    from importlib.metadata import PackageNotFoundError

    found = {"python": platform.python_version(), "system": platform.platform()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def write_json(results: Sequence[Result], path: Path) -> None:
    """One result as it is; several as {"format": …, "results": […]}."""
    whole = (
        asdict(results[0])
        if len(results) == 1
        else {"format": FORMAT, "results": [asdict(result) for result in results]}
    )
    with staged(path, True, False, begun=lambda: False) as place:
        place.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_result(path: Path) -> Result:
    """A result that was written. Raises StreamError where it is none of this version's."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StreamError(f"cannot read the result {path}: {error}") from error
    found = whole.get("format") if isinstance(whole, dict) else None
    if found != FORMAT:
        raise StreamError(
            f"cannot compare {path}: it is of format {found} and this program's is {FORMAT}; "
            "measure again with bench --json"
        )
    if "results" in whole:
        raise StreamError(f"cannot compare {path}: it holds several results; give one of a single")
    try:
        return Result(**{**whole, "size": tuple(whole["size"])})
    except (TypeError, KeyError) as error:
        raise StreamError(f"cannot compare {path}: it is no result of bench ({error})") from error


def tables(result: Result) -> list[Table]:
    """All of a single result."""
    h, w = result.size
    asked = "as fast as it goes" if result.rate is None else f"{result.rate:g} a second asked for"
    latency = ", ".join(f"{name} {ms:.1f}" for name, ms in result.latency_ms.items())
    memory = "not known here" if result.peak_rss_mb is None else f"{result.peak_rss_mb:.0f} MB"
    head = [
        ["frames", f"{result.frames} of {w}×{h}, {asked}, {result.dropped} dropped"],
        ["fps", f"{result.fps:.1f} (rounds: {_spread(result.rounds_fps)})"],
        ["latency, ms", latency],
        ["processor", f"{result.cpu_ms_per_frame:.1f} ms a frame, on {result.threads} threads"],
        ["memory", memory],
        ["network", f"{result.network_runs} runs"],
        ["engine", result.engine],
        ["background", result.background],
    ]
    total = sum(stage["mean"] for stage in result.stages_ms.values())
    stages = [
        [name, f"{ms['p50']:.2f}", f"{ms['p95']:.2f}", f"{ms['mean'] / total:.0%}"]
        for name, ms in result.stages_ms.items()
    ]
    return [(["", ""], head), (["stage", "median ms", "95 %", "share"], stages)]


def versus(results: Sequence[Result]) -> Table:
    """All results in a table, each with how many times the first does of it, and the spread."""
    ours = results[0]
    titles = ["", "fps", "first / this", "CPU ms a frame", "this / first", "p50 ms", "p99 ms"]
    rows = [
        [
            each.name,
            f"{each.fps:.1f}",
            *(_ratio(ours.rounds_fps, each.rounds_fps),),
            f"{each.cpu_ms_per_frame:.1f}",
            _ratio(each.rounds_cpu_ms, ours.rounds_cpu_ms),
            f"{each.latency_ms['p50']:.1f}",
            f"{each.latency_ms['p99']:.1f}",
        ]
        for each in results
    ]
    return titles, rows


def _ratio(ones: list[float], others: list[float]) -> str:
    """The median of the rounds' ratios, and from where to where they go."""
    found = [one / other for one, other in zip(ones, others, strict=False) if other]
    return f"{median(found):.2f} ({_spread(found, '.2f')})" if found else "–"


def _spread(values: list[float], form: str = ".1f") -> str:
    return f"{min(values):{form}}–{max(values):{form}}"
