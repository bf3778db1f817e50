"""Plots of a column network's day and night; each draws one figure, or None when there is nothing to show there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from pipeline.columns.report.schema import AFTER, BEFORE, ColumnsReport
from pipeline.columns.report.tables import control_names, gain_over, mean_accuracy, percent, stage_title, told_stages
from pipeline.errors import ArtifactError
from pipeline.report.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, new_axes, new_panels, png

_COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, "black")
_MARKERS = "osD^vP*X"
_MANY = 14  # tasks or stages: from here on labels are small and the legend is outside
_RASTERS = 8
_ANNOTATED_COLUMNS = 16  # up to here a cell has room for its weight

Rasters = Mapping[str, ArrayLike]


def accuracy_plot(report: ColumnsReport, rasters: Rasters) -> Figure | None:
    """One line per task over the stages; sleep is shaded."""
    stages = list(report.accuracy)
    figure, axes = new_axes("Accuracy of every task over day and night", height=3.9)
    for number, task in enumerate(report.tasks):
        known = [
            (at, report.accuracy[stage][task]) for at, stage in enumerate(stages) if task in report.accuracy[stage]
        ]
        at, shares = zip(*known, strict=True)
        colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        axes.plot(at, [100 * share for share in shares], color=colour, marker=marker, markersize=5, label=task)
    for end, stage in enumerate(stages):
        if stage == AFTER or stage.startswith("after_nap_"):
            axes.axvspan(end - 1, end, color=GREY, alpha=0.15, linewidth=0)
    told = [stages.index(stage) for stage in told_stages(report)]
    axes.set(xticks=told, xticklabels=[stage_title(stages[at]) for at in told], ylabel="% right")
    axes.tick_params("x", rotation=30 if len(stages) > 6 else 0, labelsize=8 if len(stages) <= _MANY else 6)
    axes.margins(y=0.1)
    if len(report.tasks) <= _MANY:
        axes.legend(frameon=False, fontsize=8, ncols=1 + len(report.tasks) // 6)
    else:
        figure.legend(frameon=False, fontsize=6, ncols=5, loc="outside lower center")
    return figure


def masks_plot(report: ColumnsReport, rasters: Rasters) -> Figure | None:
    """The mask that each task is asked with when it was learned and after sleep, side by side."""
    tasks = report.tasks
    figure, panels = new_panels("Masks", 2, width=9.0, height=1.5 + 0.35 * len(tasks))
    learned = [report.masks.get(f"after_{task}", report.masks[BEFORE])[task] for task in tasks]
    slept = [report.masks[AFTER][task] for task in tasks]
    for axes, title, weights in zip(panels, ("as learned", "after sleep"), (learned, slept), strict=True):
        masks = np.array(weights)  # (tasks, columns)
        image = axes.imshow(masks, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        axes.set_title(title, fontsize=9)
        axes.set(xticks=range(masks.shape[1]), yticks=range(len(tasks)), yticklabels=tasks, xlabel="column")
        axes.grid(False)
        if masks.shape[1] <= _ANNOTATED_COLUMNS:
            for (row, column), weight in np.ndenumerate(masks):
                if weight >= 0.01:
                    ink = "white" if weight > 0.6 else "black"
                    axes.text(column, row, f"{weight:.2f}", ha="center", va="center", fontsize=6, color=ink)
    figure.colorbar(image, ax=panels, label="weight", shrink=0.9)
    return figure


def overlap_plot(report: ColumnsReport, rasters: Rasters) -> Figure | None:
    """Errors that sleep kept and Jaccard overlap of errors by task; a task without errors has no bar."""
    values = {
        "kept errors": (BLUE, [report.overlap[task].kept for task in report.tasks]),
        "Jaccard": (ORANGE, [report.overlap[task].jaccard for task in report.tasks]),
    }
    if all(value is None for _, shares in values.values() for value in shares):
        return None
    figure, axes = new_axes("Errors before and after sleep")
    rows = np.arange(len(report.tasks))
    for shift, (label, (colour, shares)) in zip((-0.2, 0.2), values.items(), strict=True):
        known = [(row, share) for row, share in zip(rows, shares, strict=True) if share is not None]
        at, heights = np.array(known, dtype=float).reshape(-1, 2).T
        bars = axes.bar(at + shift, heights, width=0.38, color=colour, label=label)
        if len(rows) <= _MANY:
            axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=1)
    axes.set(xticks=rows, xticklabels=report.tasks, xlim=(-0.6, len(rows) - 0.4), ylim=(0, 1.25), ylabel="share")
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.tick_params("x", rotation=60 if len(rows) > _MANY else 0)
    axes.legend(frameon=False, fontsize=8, loc="upper right", ncols=2)
    axes.grid(False, axis="x")
    return figure


def controls_plot(report: ColumnsReport, rasters: Rasters) -> Figure | None:
    """Mean accuracy of every control; the line is the network after sleep."""
    names = control_names(report)
    if not names:
        return None
    figure, axes = new_axes("Controls: mean accuracy on test images", height=1.5 + 0.28 * len(names))
    slept = mean_accuracy(report.accuracy[AFTER])
    axes.axvline(100 * slept, color=BLUE, linewidth=1.5, label=f"after sleep: {percent(slept)} %")
    for row, name in enumerate(names):
        mean = mean_accuracy(report.controls[name])
        axes.barh(row, 100 * mean, color=GREY, height=0.68)
        axes.text(
            1,
            row,
            f"{percent(mean)}: sleep {gain_over(report, name)}",
            va="center",
            fontsize=8,
            color="white",
            fontweight="bold",
        )
    axes.set(xlim=(0, 101), xlabel="% right", yticks=range(len(names)), yticklabels=names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center")
    axes.grid(False, axis="y")
    return figure


def raster_plot(report: ColumnsReport, rasters: Rasters) -> Figure | None:
    """Every spike of one image a task, of the first tasks: neuron over time step."""
    if not rasters:
        return None
    shown = list(rasters.items())[:_RASTERS]
    figure, panels = new_panels(
        "Spikes of one image", len(shown), width=min(14.0, max(4.0, 2.4 * len(shown))), height=3.4
    )
    for axes, (task, values) in zip(panels, shown, strict=True):
        spikes = _binary(task, values)
        step, neuron = np.nonzero(spikes)
        axes.scatter(step + 1, neuron, s=9, marker="s", color=BLUE, linewidths=0)
        axes.set_title(f"{task}: {len(step)} spikes", fontsize=9)
        axes.set(xlim=(0.5, spikes.shape[0] + 0.5), ylim=(-0.5, spikes.shape[1] - 0.5), xlabel="time step")
    panels[0].set_ylabel("neuron")
    return figure


def _binary(task: str, values: ArrayLike) -> NDArray[Any]:
    spikes = np.asarray(values)
    if spikes.ndim != 2 or not spikes.size or not np.isin(spikes, (0, 1)).all():
        found = f"shape {spikes.shape}, values {spikes.min(initial=0)} to {spikes.max(initial=0)}"
        raise ArtifactError(f"raster of {task}: expected zeros and ones of shape (time steps, neurons), found {found}")
    return spikes


PLOTS: Mapping[str, tuple[str, Callable[[ColumnsReport, Rasters], Figure | None]]] = {
    "accuracy": ("Accuracy of every task after each stage", accuracy_plot),
    "masks": ("Masks over the columns as learned and after sleep", masks_plot),
    "overlap": ("Errors that sleep kept, and their Jaccard overlap", overlap_plot),
    "controls": ("Mean accuracy of every control beside the network after sleep", controls_plot),
    "raster": ("Spikes of one image a task", raster_plot),
}
"""Every plot by its file name, with its title, in the order of the page."""


def draw(report: ColumnsReport, rasters: Rasters | None = None) -> dict[str, bytes]:
    """All plots that there is data for, as PNG by name.

    Args:
        report: The figures.
        rasters: Spikes of one image by task, zeros and ones of shape (time steps, neurons).

    Raises:
        ArtifactError: A raster is neither of that shape nor binary.
    """
    figures = {name: plot(report, rasters or {}) for name, (_, plot) in PLOTS.items()}
    return {name: png(figure) for name, figure in figures.items() if figure is not None}
