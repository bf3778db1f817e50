"""Plots of a plasticity report; each draws one figure, or None when there is nothing to show there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from pipeline.columns.report.tables import percent, points
from pipeline.plasticity.protocol import ReceptiveFields
from pipeline.plasticity.report.schema import PlasticityReport
from pipeline.plasticity.report.tables import baselines_title, moment_title, seen
from pipeline.report.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, new_axes, png

_COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, "black")
_MARKERS = "osD^vP*X"
_ANNOTATED = 12  # tasks up to which a cell has room for its figure
_SHOWN, _IN_A_ROW = 100, 10  # neurons
_ROOM = 0.3  # accuracy from which a bar has room for its text


@dataclass(frozen=True)
class Learned:
    """What plots show beside the report.

    Attributes:
        answers: Of stage ``evaluate``: answer and true class of every test image.
        fields: What neurons see; None where they see no pixels themselves.
    """

    answers: pa.Table
    fields: ReceptiveFields | None


def matrix_plot(report: PlasticityReport) -> Figure | None:
    """The accuracy matrix: what was known of each task after each moment; tasks to come are left blank."""
    if len(report.tasks) == 1:
        return None
    moments = list(report.accuracy)
    values = np.full((len(moments), len(report.tasks)), np.nan)
    for row, moment in enumerate(moments):
        for task in seen(report, moment):
            values[row, report.tasks.index(task)] = report.accuracy[moment][task]
    figure, axes = new_axes("Accuracy matrix", height=1.5 + 0.4 * len(moments))
    image = axes.imshow(values, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axes.set(
        xticks=range(len(report.tasks)),
        xticklabels=[f"task {task}" for task in report.tasks],
        yticks=range(len(moments)),
        yticklabels=[f"after {moment_title(m).removeprefix('after ')}" for m in moments],
    )
    axes.grid(False)
    if len(report.tasks) <= _ANNOTATED:
        for (row, column), value in np.ndenumerate(values):
            if not np.isnan(value):
                ink = "white" if value > 0.6 else "black"
                axes.text(column, row, percent(float(value)), ha="center", va="center", fontsize=8, color=ink)
    figure.colorbar(image, ax=axes, label="share right", shrink=0.9)
    return figure


def forgetting_plot(report: PlasticityReport) -> Figure | None:
    """One line a task from when it was learned."""
    if len(report.tasks) == 1:
        return None
    moments = list(report.accuracy)
    figure, axes = new_axes("Every task from when it was learned", height=3.6)
    for number, task in enumerate(report.tasks):
        at = [place for place, moment in enumerate(moments) if task in seen(report, moment)]
        shares = [100 * report.accuracy[moments[place]][task] for place in at]
        colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        axes.plot(at, shares, color=colour, marker=marker, markersize=5, label=f"task {task}")
    axes.set(xticks=range(len(moments)), xticklabels=[moment_title(m) for m in moments], ylabel="% right")
    axes.margins(y=0.1)
    axes.legend(frameon=False, fontsize=8, ncols=1 + len(report.tasks) // 6)
    return figure


def baselines_plot(report: PlasticityReport) -> Figure | None:
    """Average accuracy of every method; the line is the system."""
    if not report.baselines:
        return None
    names = sorted(report.baselines, key=lambda name: -report.baselines[name].average_accuracy)
    figure, axes = new_axes(baselines_title(report), height=1.6 + 0.35 * len(names))
    axes.axvline(100 * report.average_accuracy, color=BLUE, label=f"ours: {percent(report.average_accuracy)} %")
    for row, name in enumerate(names):
        told = report.baselines[name]
        axes.barh(row, 100 * told.average_accuracy, color=GREY, height=0.68)
        text = f"{percent(told.average_accuracy)}: ours {points(told.gain)}"
        inside = told.average_accuracy > _ROOM
        at, ink = (1, "white") if inside else (100 * told.average_accuracy + 1, "black")
        axes.text(at, row, text, va="center", fontsize=8, color=ink, fontweight="bold")
    axes.set(xlim=(0, 101), xlabel="% right", yticks=range(len(names)), yticklabels=names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center")
    axes.grid(False, axis="y")
    return figure


def ablations_plot(report: PlasticityReport) -> Figure | None:
    """What each part is worth, with its interval."""
    if not report.ablations:
        return None
    names = list(report.ablations)
    figure, axes = new_axes("What each part is worth", height=1.6 + 0.32 * len(names))
    for row, name in enumerate(names):
        told = report.ablations[name]
        low, high = told.interval
        colour = GREEN if low > 0 else RED if high < 0 else GREY
        spread = [[100 * (told.gain - low)], [100 * (high - told.gain)]]
        axes.errorbar(100 * told.gain, row, xerr=spread, fmt="o", color=colour, capsize=3)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel="points of average accuracy", yticks=range(len(names)), yticklabels=names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    return figure


def confusion_plot(learned: Learned) -> Figure | None:
    """Answers by true class: the share of a class's test images in every cell."""
    gold, answer = (learned.answers.column(name).to_numpy() for name in ("gold", "answer"))
    classes = 1 + int(max(gold.max(), answer.max()))
    counts = np.zeros((classes, classes))
    np.add.at(counts, (gold, answer), 1)
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    figure, axes = new_axes("Confusion matrix", width=6.0, height=5.0)
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axes.set(xticks=range(classes), yticks=range(classes), xlabel="answer", ylabel="true class")
    axes.grid(False)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            ink = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, f"{count:.0f}", ha="center", va="center", fontsize=7, color=ink)
    figure.colorbar(image, ax=axes, label="share of the class", shrink=0.9)
    return figure


def receptive_fields_plot(learned: Learned) -> Figure | None:
    """Weights of the first neurons as images, by the class that each stands for."""
    if learned.fields is None:
        return None
    weights, classes = learned.fields.weights[:_SHOWN].numpy(), learned.fields.classes[:_SHOWN].numpy()
    every, side = len(learned.fields.weights), round(weights.shape[1] ** 0.5)
    shown = f"{len(weights)} of {every:,}" if every > len(weights) else f"{every}"
    figure, axes = new_axes(f"What {shown} neurons respond to, by the class they stand for", height=7.2)
    columns = min(_IN_A_ROW, len(weights))
    grid = np.full((-(-len(weights) // columns) * (side + 1), columns * (side + 1)), np.nan)
    for place, neuron in enumerate(np.argsort(classes, kind="stable")):
        top, left = place // columns * (side + 1), place % columns * (side + 1)
        field = weights[neuron].reshape(side, side)
        grid[top : top + side, left : left + side] = field / max(field.max(), 1e-9)
        axes.text(left + 1, top + 1, classes[neuron], fontsize=7, color="white", ha="left", va="top")
    axes.imshow(grid, cmap="viridis", vmin=0, vmax=1)
    axes.grid(False)
    axes.axis("off")
    return figure


PLOTS: Mapping[str, tuple[str, Callable[[PlasticityReport, Learned], Figure | None]]] = {
    "matrix": ("Accuracy on every task after every task", lambda report, _: matrix_plot(report)),
    "forgetting": ("Accuracy of every task from when it was learned", lambda report, _: forgetting_plot(report)),
    "receptive_fields": ("What neurons respond to", lambda _, learned: receptive_fields_plot(learned)),
    "confusion": ("Answers by true class", lambda _, learned: confusion_plot(learned)),
    "baselines": ("Average accuracy of other methods", lambda report, _: baselines_plot(report)),
    "ablations": ("What each part is worth", lambda report, _: ablations_plot(report)),
}
"""Every plot by its file name, with its title, in the order of the page."""


def draw(report: PlasticityReport, learned: Learned) -> dict[str, bytes]:
    """All plots that there is data for, as PNG by name."""
    figures = {name: plot(report, learned) for name, (_, plot) in PLOTS.items()}
    return {name: png(figure) for name, figure in figures.items() if figure is not None}
