"""A picture of what was measured: the stages of a frame, and how late frames are."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from stream import StreamError

try:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise StreamError("cannot draw: needs matplotlib; pip install matplotlib==3.11.2") from error

from stream.bench_report import Result
from stream.staging import staged

_COLORS = ("#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00", "#cc79a7")  # Okabe and Ito 2008
_INK, _GRID = "#333333", "#e6e6e6"


def draw(results: Sequence[Result], path: Path) -> None:
    """A bar of stages for each result, and the latencies of all, as a PNG."""
    figure = Figure(figsize=(11, 2.4 + 0.5 * len(results)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)  # without pyplot: no screen is asked for, nothing global is set
    stages, latencies = figure.subplots(1, 2)
    _draw_stages(results, stages)
    for result, color in zip(results, _COLORS * len(results), strict=False):
        edges, counts = result.histogram["edges_ms"], result.histogram["counts"]
        share = [100 * count / sum(counts) for count in counts]
        p99 = result.latency_ms["p99"]
        label = f"{result.name}: 99 % within {p99:.1f}"
        latencies.stairs(share, edges, fill=len(results) == 1, color=color, label=label)
        latencies.axvline(p99, color=color, linestyle=":", linewidth=1.5)
    _bare(latencies, "latency, ms: share of frames, %")
    latencies.set_xlim(left=0)
    latencies.legend(frameon=False, labelcolor=_INK, fontsize=8, loc="upper left")
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    with staged(path, True, False, begun=lambda: False) as place:
        place.write_bytes(drawn.getvalue())


def _draw_stages(results: Sequence[Result], axes: Axes) -> None:
    names = list(dict.fromkeys(name for result in results for name in result.stages_ms))
    for row, result in enumerate(results):
        left = 0.0
        for name, color in zip(names, _COLORS * len(names), strict=False):
            wide = result.stages_ms.get(name, {"p50": 0.0})["p50"]
            axes.barh(row, wide, left=left, color=color, label=name if row == 0 else None)
            if wide > 0.06 * max(each.latency_ms["p50"] for each in results):
                axes.text(left + wide / 2, row, f"{wide:.1f}", ha="center", va="center", color="w")
            left += wide
        axes.text(left, row, f"  {result.fps:.0f} fps", va="center", color=_INK)
    axes.set_yticks(range(len(results)), [result.name for result in results])
    axes.invert_yaxis()
    _bare(axes, "median ms of each stage")
    axes.margins(x=0.15)
    axes.legend(
        ncols=6,
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.12),
        frameon=False,
        labelcolor=_INK,
        fontsize=8,
        handlelength=1,
        columnspacing=1,
    )


def _bare(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", color=_INK, fontsize=11)
    axes.tick_params(colors=_INK, length=0)
    axes.grid(axis="x", color=_GRID)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
