"""Plots of a comparison: figures over the runs, losses, answers that turned. Each is None where nothing differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipeline.evaluation.arms import ARMS
from pipeline.report.compare import Comparison
from pipeline.report.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, new_axes, new_panels, png
from pipeline.report.schema import Report

_ARMS = {
    "post_off_heldout": BLUE,
    "post_off": SKY,
    "post_off_probe": PURPLE,
    "memory_on": ORANGE,
    "untaught": RED,
    "pre_off": GREY,
}
_PRICE = {
    "sanity.delta": ("general questions", BLUE),
    "drift.kl_base": ("drift, nats a token", ORANGE),
    "takeover": ("takeover", RED),
}
_MOST_BARS = 3  # runs whose arms stand beside one another as bars; more are lines


def comparison_plots(comparison: Comparison) -> dict[str, bytes]:
    """All plots that show a difference, as PNG by title."""
    drawn = {title: plot(comparison) for title, plot in PLOTS.items()}
    return {title: png(figure) for title, figure in drawn.items() if figure is not None}


def _language(comparison: Comparison) -> list[Report]:
    reports = [report for report in comparison.reports if isinstance(report, Report)]
    return reports if len(reports) == len(comparison.reports) else []


def arms_plot(comparison: Comparison) -> Figure | None:
    """Exact match of the arms that differ: bars for a few runs, lines with their 95 % interval for many."""
    reports = _language(comparison)
    changed = {name.removeprefix("arms.").removesuffix(".em") for name, _ in comparison.figures if name.endswith(".em")}
    arms = [arm for arm in ARMS if arm in changed and all(arm in report.arms for report in reports)]
    if not reports or not arms:
        return None
    if len(reports) <= _MOST_BARS:
        return _bars(comparison.labels, reports, arms)
    shown = [arm for arm in _ARMS if arm in arms] or arms[: len(_ARMS)]
    figure, axes = new_axes("Exact match over the runs")
    for arm in shown:
        values = [report.arms[arm].em for report in reports]
        bounds = [report.arms[arm].em_ci95 or (em, em) for report, em in zip(reports, values, strict=True)]
        colour = _ARMS.get(arm)
        (line,) = axes.plot(range(len(reports)), values, "o-", markersize=4, color=colour, label=arm)
        low, high = zip(*bounds, strict=True)
        axes.fill_between(range(len(reports)), low, high, color=line.get_color(), alpha=0.08, linewidth=0)
    axes.set(ylim=(-0.03, 1.05), ylabel="EM")
    _runs_below(axes, comparison.labels)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    return figure


def _bars(labels: Sequence[str], reports: Sequence[Report], arms: Sequence[str]) -> Figure:
    """EM with 95 % interval of every arm, run beside run."""
    figure, axes = new_axes("Exact match by arm", height=1.2 + 0.2 * len(arms) * (len(reports) + 0.5))
    height = 0.8 / len(reports)
    for i, (label, report) in enumerate(zip(labels, reports, strict=True)):
        figures = [report.arms[arm] for arm in arms]
        rows = [row + (i - (len(reports) - 1) / 2) * height for row in range(len(arms))]
        bounds = [f.em_ci95 or (f.em, f.em) for f in figures]
        spread = [
            [max(0.0, f.em - low) for f, (low, _) in zip(figures, bounds, strict=True)],
            [max(0.0, high - f.em) for f, (_, high) in zip(figures, bounds, strict=True)],
        ]
        axes.barh(rows, [f.em for f in figures], height=height, label=label)
        axes.errorbar([f.em for f in figures], rows, xerr=spread, fmt="none", color="black", linewidth=0.8)
    axes.set(xlim=(0, 1.05), xlabel="EM", yticks=range(len(arms)), yticklabels=arms)
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.legend(frameon=False, fontsize=8)
    return figure


def price_plot(comparison: Comparison) -> Figure | None:
    """What the night cost the base: general questions, drift, takeover, run by run."""
    rows = {name: texts for name, texts in comparison.figures if name in _PRICE}
    if not rows:
        return None
    figure, panels = new_panels("What it cost the base", len(rows), height=2.8, shared=False)
    places = np.arange(len(comparison.labels))
    for axes, (name, texts) in zip(panels, rows.items(), strict=True):
        title, colour = _PRICE[name]
        values = np.array([_number(text) for text in texts])
        axes.axhline(0, color="black", linewidth=0.6)
        axes.vlines(places, 0, values, color=colour, linewidth=2)
        axes.plot(places, values, "o", color=colour, markersize=5)
        axes.set_title(title, fontsize=9)
        _runs_below(axes, comparison.labels)
    return figure


def accuracy_plot(comparison: Comparison) -> Figure | None:
    """For flows without arms: every figure of a share that differs, over the runs."""
    if _language(comparison):
        return None
    rows = [(n, t) for n, t in comparison.figures if n.startswith("accuracy.after_sleep") and "(absent)" not in t]
    if not rows:
        return None
    figure, axes = new_axes("Accuracy after sleep")
    for name, texts in rows[:8]:
        values = [_number(text) for text in texts]
        axes.plot(range(len(texts)), values, "o-", markersize=4, label=name.rpartition(".")[2])
    axes.set(ylabel="accuracy")
    _runs_below(axes, comparison.labels)
    axes.legend(frameon=False, fontsize=8)
    return figure


def turns_plot(comparison: Comparison) -> Figure | None:
    """How many answers turned wrong and right against the first run."""
    if not any(told.lost or told.won for told in comparison.answers):
        return None
    figure, axes = new_axes(f"Answers that turned, against {comparison.labels[0]}", height=2.8)
    places = np.arange(len(comparison.answers))
    won = [told.won for told in comparison.answers]
    lost = [-told.lost for told in comparison.answers]
    for values, colour, label in ((won, GREEN, "wrong → right"), (lost, RED, "right → wrong")):
        bars = axes.bar(places, values, color=colour, width=0.6, label=label)
        axes.bar_label(bars, [str(abs(v)) if v else "" for v in values], fontsize=8, padding=1)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(ylabel="questions")
    axes.margins(y=0.2)
    _runs_below(axes, comparison.labels[1:])
    axes.legend(frameon=False, fontsize=8)
    return figure


def losses_plot(comparison: Comparison) -> Figure | None:
    """Training loss by step of every run, where they are not all the same."""
    curves = [(label, c) for label, c in zip(comparison.labels, comparison.curves, strict=False) if c is not None]
    if len(curves) < 2 or all(curve.equals(curves[0][1]) for _, curve in curves):
        return None
    figure, axes = new_axes("Training loss")
    for label, curve in curves:
        axes.plot(curve.column("step").to_numpy(), curve.column("loss").to_numpy(), linewidth=1.2, label=label)
    axes.set(xlabel="step", ylabel="nats a token", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8, ncols=5)
    return figure


def _runs_below(axes: Any, labels: Sequence[str]) -> None:
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.5, len(labels) - 0.5)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


PLOTS: Mapping[str, Callable[[Comparison], Figure | None]] = {
    "Exact match": arms_plot,
    "Accuracy after sleep": accuracy_plot,
    "What it cost the base": price_plot,
    "Answers that turned": turns_plot,
    "Training loss": losses_plot,
}
"""Every plot by its title, in the order of the page."""
