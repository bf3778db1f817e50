"""Plots of a sleep–wake report; each draws one figure, or None when there is nothing to show there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.report.plots import BLUE, GREEN, GREY, ORANGE, RED, new_axes, new_panels, png
from pipeline.sleepwake.report.schema import SleepWakeReport


@dataclass(frozen=True)
class Courses:
    """What plots show beside the figures.

    Attributes:
        pretraining: Losses of every step before the first day.
        probes: Of the first sleep.
    """

    pretraining: pa.Table
    probes: pa.Table


def sleep_plot(report: SleepWakeReport, courses: Courses) -> Figure | None:
    """Memories answered from the weights and the loss of base text, probe by probe."""
    if not courses.probes.num_rows:
        return None
    figure, (left, right) = new_panels("The first sleep, probe by probe", 2, width=9.0, shared=False)
    steps = _column(courses.probes, "at_step")
    left.plot(steps, 100 * _column(courses.probes, "recall"), color=BLUE, marker="o", markersize=3)
    left.set(xlabel="step", ylabel="% of memories answered", ylim=(0, 102))
    right.plot(steps, 100 * _column(courses.probes, "drift"), color=RED, marker="o", markersize=3)
    right.axhline(0, color="black", linewidth=0.8)
    right.set(xlabel="step", ylabel="rise of base nats, %")
    return figure


def retention_plot(report: SleepWakeReport, courses: Courses) -> Figure | None:
    """Recall of the first sleep's facts while cycles pass."""
    if not report.retention:
        return None
    figure, axes = new_axes("Facts of the first sleep while further days and sleeps pass")
    passed = [0, *(int(name) for name in report.retention)]
    axes.plot(passed, [100 * report.sleep.recall_after, *(100 * v for v in report.retention.values())], color=BLUE,
              marker="o", label="with sleeps")  # fmt: skip
    if told := report.controls.get("replay_only"):
        known = [100 * told["recall"], *(100 * value for value in told["retention"].values())]
        axes.plot(passed, known, color=ORANGE, marker="o", label="memories alone, no rehearsal")
    if told := report.controls.get("no_sleep"):
        axes.axhline(100 * told["recall"], color=GREY, linestyle="--", label="as many steps without memories")
    axes.set(xlabel="cycles since", ylabel="% right, from the weights alone", ylim=(-2, 102))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8)
    return figure


def gap_plot(report: SleepWakeReport, courses: Courses) -> Figure | None:
    """Recall by sessions between telling and asking."""
    if not report.gap:
        return None
    figure, axes = new_axes("Recall after sessions of text")
    gaps = [int(gap) for gap in report.gap]
    axes.plot(
        gaps, [100 * told.with_sleep for told in report.gap.values()], color=BLUE, marker="o", label="with a sleep"
    )
    axes.plot(gaps, [100 * told.without for told in report.gap.values()], color=GREY, marker="o", label="memory alone")
    axes.set(xlabel="sessions", ylabel="% right", ylim=(-2, 102), xscale="log", xticks=gaps, xticklabels=gaps)
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    return figure


def drift_plot(report: SleepWakeReport, courses: Courses) -> Figure | None:
    """Rise of base nats behind every sleep."""
    figure, axes = new_axes("Base text behind every sleep")
    values = [100 * value for value in report.drift.by_cycle]
    axes.bar(range(len(values)), values, color=RED)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="sleep", ylabel="rise of nats a byte, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def weights_plot(report: SleepWakeReport, courses: Courses) -> Figure | None:
    """How far the first sleep moved every module."""
    names = list(report.sleep.weight_change)
    if not names:
        return None
    figure, axes = new_axes("Weights that the first sleep changed")
    axes.barh(names, [100 * value for value in report.sleep.weight_change.values()], color=GREEN)
    axes.set(xlabel="‖Δθ‖ / ‖θ‖, %")
    axes.invert_yaxis()
    return figure


def patches_plot(report: SleepWakeReport, courses: Courses) -> Figure | None:
    """Entropy of bytes, and sizes of patches."""
    figure, (left, right) = new_panels("Entropy of bytes and sizes of patches", 2, width=9.0, shared=False)
    told = report.patcher
    width = 5.6 / len(told.entropy_histogram)
    left.bar(
        np.arange(len(told.entropy_histogram)) * width, told.entropy_histogram, width=width, align="edge", color=BLUE
    )
    left.axvline(told.threshold, color=RED, label="threshold")
    left.set(xlabel="entropy, nats", ylabel="bytes")
    left.legend(frameon=False, fontsize=8)
    right.bar(range(len(told.size_histogram)), told.size_histogram, color=BLUE)
    right.axvline(told.mean_patch, color=RED, label="mean")
    right.set(xlabel="bytes of a patch", ylabel="patches", xlim=(0, 20))
    right.legend(frameon=False, fontsize=8)
    return figure


def pretraining_plot(report: SleepWakeReport, courses: Courses) -> Figure | None:
    """Losses before the first day."""
    figure, axes = new_axes("Before the first day")
    for name, label, colour in (("loss.text", "text", BLUE), ("loss.answers", "answers in streams", ORANGE)):
        if name in courses.pretraining.column_names:
            axes.plot(
                _column(courses.pretraining, "step"), _column(courses.pretraining, name), color=colour, label=label
            )
    axes.set(xlabel="step", ylabel="nats a byte", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    return figure


def _column(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    return np.array(table.column(name).to_pylist(), float)


PLOTS: Mapping[str, tuple[str, Callable[[SleepWakeReport, Courses], Figure | None]]] = {
    "sleep": ("The first sleep", sleep_plot),
    "retention": ("Retention", retention_plot),
    "gap": ("Sessions between telling and asking", gap_plot),
    "drift": ("Base text", drift_plot),
    "weights": ("Weights that changed", weights_plot),
    "patches": ("Entropy and patches", patches_plot),
    "pretraining": ("Losses before the first day", pretraining_plot),
}
"""Every plot by its file name, with its title, in the order of the page."""


def draw(report: SleepWakeReport, courses: Courses) -> dict[str, bytes]:
    """All plots that there is data for, as PNG by name."""
    figures = {name: plot(report, courses) for name, (_, plot) in PLOTS.items()}
    return {name: png(figure) for name, figure in figures.items() if figure is not None}
