"""The comparison as rows and as a plot: means over seeds with Student's interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from matplotlib.figure import Figure

from pipeline.continual.protocol import Outcome
from pipeline.evaluation.seeds import mean_over_seeds
from pipeline.report.plots import BLUE, GREY, ORANGE, new_axes

OURS, SHIFTED = "soft-columns+sleep", "+shift"


def rows_of(by_method: Mapping[str, Sequence[Outcome]], published: Mapping[str, float]) -> dict[str, dict[str, str]]:
    """The table of one stream; a method is compared with soft columns whose replayed images are shifted as its own are.

    Args:
        by_method: Outcomes by method, each with the same seeds in the same order.
        published: Accuracy of others by method.
    """
    rows = {}
    for name, found in by_method.items():
        ours = OURS + (SHIFTED if name.endswith(SHIFTED) else "")
        gain = ""
        if ours in by_method and not name.startswith(OURS):
            pairs = zip(by_method[ours], found, strict=True)
            gain = str(mean_over_seeds([a.accuracy - b.accuracy for a, b in pairs]))
        rows[name] = {
            "accuracy %": str(mean_over_seeds([o.accuracy for o in found])),
            "others %": f"{100 * published[name]:.1f}" if name in published else "",
            "ours minus it": gain,
            "forgotten": str(mean_over_seeds([o.forgetting for o in found])),
            "bytes kept": f"{sum(found[0].memory.values()):,}",
            "steps": f"{found[0].steps:,}",
            "s": f"{fmean(o.seconds for o in found):.0f}",
        }
    return rows


def accuracy_plot(stream: str, by_method: Mapping[str, Sequence[Outcome]], published: Mapping[str, float]) -> Figure:
    """Mean accuracy of every method with its interval and every seed; a mark where others have published one."""
    figure, axes = new_axes(f"Accuracy after five tasks: {stream}", height=1.2 + 0.32 * len(by_method))
    for row, (name, found) in enumerate(by_method.items()):
        values = [o.accuracy for o in found]
        mean = mean_over_seeds(values)
        colour = BLUE if name.startswith(OURS) else GREY
        axes.barh(row, 100 * mean.value, color=colour, height=0.66, alpha=0.55)
        axes.errorbar(100 * mean.value, row, xerr=100 * (mean.margin or 0), color="black", capsize=3, linewidth=1)
        axes.plot([100 * value for value in values], [row] * len(values), ".", color="black", markersize=3)
        if name in published:
            axes.plot(100 * published[name], row, "D", color=ORANGE, markersize=5)
    axes.set(xlim=(0, 100), xlabel="% of test images (diamond: published, without spikes)")
    axes.set(yticks=range(len(by_method)), yticklabels=list(by_method))
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    return figure
