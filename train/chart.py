"""A picture of a run's curves: loss, and how well each group of validation pictures is matted."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

SCORES = {"iou": "IoU at 0.5", "boundary_f": "boundary F"}
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito 2008
INK, GRID = "#333333", "#e6e6e6"


def draw(lines: list[dict], path: Path) -> None:
    """Draw the curves, a line a round, as a PNG."""
    figure = Figure(figsize=(15, 4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)  # without pyplot: no screen is asked for, nothing global is set
    loss, *others = figure.subplots(1, 1 + len(SCORES))
    _bare(loss, "loss")
    loss.set_yscale("log")
    loss.plot([line["step"] for line in lines], [line["loss"] for line in lines], color=INK)
    judged = [line for line in lines if line.get("scores")]
    for axes, (name, title) in zip(others, SCORES.items(), strict=True):
        _bare(axes, title)
        _draw_groups(axes, judged, name)
    for axes in (loss, *others):
        axes.set_xlim(0, lines[-1]["step"] * 1.02)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    figure.savefig(path, format="png")


def _draw_groups(axes: Axes, judged: list[dict], score: str) -> None:
    """One curve a group; the legend has them from best to worst, with what they have reached."""
    curves = {}
    for group in judged[-1]["scores"] if judged else ():
        there = [line for line in judged if group in line["scores"]]
        curves[group] = [(line["step"], line["scores"][group][score]) for line in there]
    for group, curve in sorted(curves.items(), key=lambda each: -each[1][-1][1]):
        color = COLORS[sorted(curves).index(group) % len(COLORS)]
        label = f"{curve[-1][1]:.3f} {group}"
        axes.plot(*zip(*curve, strict=True), color=color, marker="o", markersize=3, label=label)
    if curves:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, labelcolor=INK)
        # The first judgments are near 0 and would press what matters into a band at the top.
        late = [value for curve in curves.values() for _, value in curve[len(curve) // 2 :]]
        lowest = min(0.9, *late)
        axes.set_ylim(max(0, lowest - 0.25 * (1 - lowest)), 1)


def _bare(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=12)
    axes.set_xlabel("step", color=INK)
    axes.grid(color=GRID)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.tick_params(colors=INK, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
