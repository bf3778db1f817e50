"""Plots of a needle report; each draws one figure, or None when there is nothing to show there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.needle.report.schema import NeedleReport
from pipeline.report.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, new_axes, new_panels, png

_FIGURES = {
    "val.write_cos.mean": ("written", ORANGE),
    "val.read_cos.raw": ("raw read", GREY),
    "val.read_cos.clean": ("clean read", BLUE),
    "read_ema": ("clean read, average that the gate sees", GREEN),
}


def gate_plot(report: NeedleReport, epochs: pa.Table) -> Figure | None:
    """λ and accuracy over epochs; the gate is open where the ground is shaded."""
    numbers = _column(epochs, "epoch")
    figure, panels = new_panels("Gate, λ and accuracy", 2, width=9.0, shared=False)
    for axes in panels:
        for number, state in zip(numbers, epochs.column("gate").to_pylist(), strict=True):
            if state == "open":
                axes.axvspan(number - 0.5, number + 0.5, color=GREEN, alpha=0.12, linewidth=0)
        axes.set(xlabel="epoch", xlim=(0.5, numbers[-1] + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].step(numbers, _column(epochs, "nce_lambda"), where="mid", color=RED)
    panels[0].set(ylabel="λ", ylim=(0, None))
    panels[1].plot(numbers, 100 * _column(epochs, "val.acc"), color=BLUE, marker="o", markersize=3, label="validation")
    train = 100 * _column(epochs, "train.acc")
    panels[1].plot(numbers, train, color=GREY, linestyle="--", label="training, true values mixed in")
    panels[1].set(ylabel="% right", ylim=(0, 102))
    panels[1].legend(frameon=False, fontsize=8)
    return figure


def cosines_plot(report: NeedleReport, epochs: pa.Table) -> Figure | None:
    """Cosines of written and read values with the true ones, on validation sequences."""
    figure, axes = new_axes("Cosines with the true values, validation")
    for name, (label, colour) in _FIGURES.items():
        values = _column(epochs, name)
        if not np.isnan(values).all():
            axes.plot(_column(epochs, "epoch"), values, color=colour, marker="o", markersize=3, label=label)
    axes.set(xlabel="epoch", ylabel="cosine", ylim=(min(0.0, axes.get_ylim()[0]), 1.02))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8)
    return figure


def collisions_plot(report: NeedleReport, epochs: pa.Table) -> Figure | None:
    """Collisions of a sequence's writes, and buckets in use."""
    if np.isnan(_column(epochs, "val.write_cos.mean")).all():
        return None
    figure, axes = new_axes("Collisions and buckets, validation")
    for name, label, colour in (
        ("val.collisions.mean", "collisions, mean of sequences", RED),
        ("val.buckets.used", "buckets in use", BLUE),
        ("val.gate.precision", "writes at needles (precision)", GREEN),
        ("val.gate.recall", "needles written (recall)", PURPLE),
    ):
        axes.plot(_column(epochs, "epoch"), _column(epochs, name), color=colour, marker="o", markersize=3, label=label)
    axes.set(xlabel="epoch", ylabel="share", ylim=(0, 1.02))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    return figure


def accuracy_plot(report: NeedleReport, epochs: pa.Table) -> Figure | None:
    """Test accuracy by length and by number of needles."""
    shown = {"length": report.accuracy.by_length, "needles": report.accuracy.by_load}
    shown = {name: values for name, values in shown.items() if len(values) > 1}
    if not shown:
        return None
    figure, panels = new_panels("Accuracy on test questions", len(shown), width=4.5 * len(shown))
    for axes, (name, values) in zip(panels, shown.items(), strict=True):
        at = np.arange(len(values))
        bars = axes.bar(at, [100 * value for value in values.values()], width=0.6, color=BLUE)
        axes.bar_label(bars, fmt="%.1f", fontsize=8, padding=1)
        axes.axhline(100 * report.chance, color=RED, linewidth=1, linestyle="--")
        axes.set(xticks=at, xticklabels=list(values), xlabel=name, ylim=(0, 108))
        axes.grid(False, axis="x")
    panels[0].set_ylabel("% right")
    return figure


def capacity_plot(report: NeedleReport, epochs: pa.Table) -> Figure | None:
    """Raw read cosine of n pairs against 1/√n: the memory alone, and the trained model, whose pairs share buckets."""
    figure, panels = new_panels("Capacity", 2, width=9.0, shared=False)
    pairs = np.array([int(name) for name in report.capacity])
    fine = np.geomspace(pairs.min(), pairs.max(), 64)
    panels[0].plot(fine, fine**-0.5, color="black", linewidth=1, label="theory, 1/√n")
    cosines = [told.read_cosine for told in report.capacity.values()]
    panels[0].plot(pairs, cosines, "o", color=BLUE, label="memory alone, one bucket")
    if report.read_cosine_by_load:
        loads = [int(load) for load in report.read_cosine_by_load]
        panels[0].plot(loads, list(report.read_cosine_by_load.values()), "s", color=ORANGE, label="trained model")
    panels[1].plot(pairs, [100 * told.accuracy for told in report.capacity.values()], "o-", color=BLUE)
    if report.accuracy.by_load:
        values = [100 * value for value in report.accuracy.by_load.values()]
        panels[1].plot([int(load) for load in report.accuracy.by_load], values, "s", color=ORANGE)
    for axes, label in zip(panels, ("raw read cosine", "% right"), strict=True):
        axes.set_xscale("log", base=2)
        axes.set(xlabel="pairs n", ylabel=label, xticks=pairs, xticklabels=[str(n) for n in pairs])
    panels[0].set_ylim(0, 1.05)
    panels[1].set_ylim(0, 105)
    panels[0].legend(frameon=False, fontsize=8)
    return figure


def controls_plot(report: NeedleReport, epochs: pa.Table) -> Figure | None:
    """Every control; the lines are the model and chance."""
    if not report.controls:
        return None
    figure, axes = new_axes("Controls", height=1.6 + 0.35 * len(report.controls))
    for row, value in enumerate(report.controls.values()):
        axes.barh(row, 100 * value, color=GREY, height=0.68)
        axes.text(100 * value + 1, row, f"{100 * value:.1f}", va="center", fontsize=8)
    axes.axvline(100 * report.accuracy.test, color=BLUE, label=f"the model: {100 * report.accuracy.test:.1f} %")
    axes.axvline(100 * report.chance, color=RED, linestyle="--", label=f"chance: {100 * report.chance:.1f} %")
    names = list(report.controls)
    axes.set(xlim=(0, 109), xlabel="% right", yticks=range(len(names)), yticklabels=names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    axes.grid(False, axis="y")
    return figure


def _column(epochs: pa.Table, name: str) -> Any:
    values = epochs.column(name).to_pylist()
    return np.array([np.nan if value is None else value for value in values], dtype=float)


PLOTS: Mapping[str, tuple[str, Callable[[NeedleReport, pa.Table], Figure | None]]] = {
    "gate": ("Gate, λ and accuracy over epochs", gate_plot),
    "cosines": ("Cosines over epochs", cosines_plot),
    "collisions": ("Collisions, buckets and writes over epochs", collisions_plot),
    "accuracy": ("Accuracy by length and by number of needles", accuracy_plot),
    "capacity": ("Capacity against theory", capacity_plot),
    "controls": ("Controls", controls_plot),
}
"""Every plot by its file name, with its title, in the order of the page."""


def draw(report: NeedleReport, epochs: pa.Table) -> dict[str, bytes]:
    """All plots that there is data for, as PNG by name."""
    figures = {name: plot(report, epochs) for name, (_, plot) in PLOTS.items()}
    return {name: png(figure) for name, figure in figures.items() if figure is not None}
