"""Plots of one night. Each function draws one figure, or returns None when the night has nothing to show there.

Figures are drawn without pyplot: no global state, no display.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.evaluation.arms import ARMS
from pipeline.report.schema import Report

BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#7f7f7f"  # Okabe and Ito 2008
PURPLE, SKY = "#cc79a7", "#56b4e9"
_MOST_NUMBERS = 12  # nights up to which every cell of the retention matrix holds its figure
_COLOURS = {"base": GREY, "post": BLUE}
_LOSSES = {
    "loss": BLUE,
    "cross_entropy": ORANGE,
    "anchor": GREEN,
    "distil": RED,
    "unlikelihood": PURPLE,
    "curvature": SKY,
}


@dataclass(frozen=True)
class NightTables:
    """What the plots read beside the report; a table that does not exist is None.

    Attributes:
        steps: ``steps.parquet``: step, loss and its parts, probe_accuracy.
        gate: Gate decisions: score, accepted.
        threshold: The gate's τ.
        replay: ``replay.parquet``: weight, kind.
    """

    steps: pa.Table | None = None
    gate: pa.Table | None = None
    threshold: float | None = None
    replay: pa.Table | None = None


def new_axes(title: str, width: float = 7.0, height: float = 3.6) -> tuple[Figure, Any]:
    """An empty figure in the house style, width and height in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def new_panels(
    title: str, count: int, width: float = 7.0, height: float = 3.6, shared: bool = True
) -> tuple[Figure, list[Any]]:
    """An empty figure in the house style with panels side by side that, unless told not to, share the vertical axis."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    panels = list(figure.subplots(1, count, sharey=shared, squeeze=False)[0])
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    return figure, panels


def png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as PNG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def svg(figure: Figure) -> bytes:
    """The figure as SVG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "engram"}):  # names of clip paths are random otherwise
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def arms_plot(report: Report, tables: NightTables) -> Figure | None:
    """EM of every arm with its 95 % interval; grey is the base, blue the adapted model."""
    names = [name for name in ARMS if name in report.arms]
    if not names:
        return None
    figure, axes = new_axes("Exact match (grey: base, blue: after the night)", height=1.0 + 0.28 * len(names))
    for row, name in enumerate(names):
        arm = report.arms[name]
        low, high = arm.em_ci95 or (arm.em, arm.em)
        spread = [[max(0.0, arm.em - low)], [max(0.0, high - arm.em)]]
        axes.barh(row, arm.em, color=_COLOURS.get(ARMS[name].model, ORANGE), height=0.68)
        axes.errorbar(arm.em, row, xerr=spread, color="black", capsize=2, linewidth=1)
        axes.text(max(high, arm.em) + 0.015, row, f"{arm.em:.2f}", va="center", fontsize=8)
    axes.set(xlim=(0, 1.12), xlabel="EM", yticks=range(len(names)), yticklabels=names)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False, axis="y")
    return figure


def loss_plot(report: Report, tables: NightTables) -> Figure | None:
    """Training loss and its parts, and the accuracy on probe questions where it was measured."""
    if tables.steps is None or not tables.steps.num_rows:
        return None
    figure, axes = new_axes("Training loss")
    steps = tables.steps.column("step").to_numpy()
    for name, colour in _LOSSES.items():
        if name in tables.steps.column_names:
            values = np.asarray(tables.steps.column(name).to_pylist(), dtype=float)
            if np.isfinite(values).any() and np.nanmax(np.abs(values)) > 0:
                axes.plot(steps, values, color=colour, linewidth=1.2, label=name.replace("_", " "))
    axes.set(xlabel="step", ylabel="nats a token", ylim=(0, None))
    if "probe_accuracy" in tables.steps.column_names:
        accuracy = np.asarray(tables.steps.column("probe_accuracy").to_pylist(), dtype=float)
        measured = np.isfinite(accuracy) & (accuracy >= 0)
        if measured.any():
            right = axes.twinx()
            right.plot(steps[measured], accuracy[measured], "o--", color="black", markersize=3, linewidth=0.8)
            right.set(ylim=(0, 1.05), ylabel="probe accuracy (dots)")
            right.spines["top"].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="center right")
    return figure


def gate_plot(report: Report, tables: NightTables) -> Figure | None:
    """Histogram of gate scores, accepted and refused, with the threshold."""
    if tables.gate is None or not tables.gate.num_rows:
        return None
    scores = np.asarray(tables.gate.column("score").to_pylist(), dtype=float)
    accepted = np.asarray(tables.gate.column("accepted").to_pylist(), dtype=bool)
    figure, axes = new_axes("Write gate")
    edges = np.histogram_bin_edges(scores, bins=min(30, max(5, len(scores) // 4)))
    labels = [f"accepted ({accepted.sum()})", f"refused ({(~accepted).sum()})"]
    axes.hist([scores[accepted], scores[~accepted]], bins=edges, stacked=True, color=[GREEN, RED], label=labels)
    kinds = set(tables.gate.column("kind").to_pylist()) if "kind" in tables.gate.column_names else {"episodic"}
    if tables.threshold is not None and kinds == {"episodic"}:  # every kind of store has a gate, and τ, of its own
        axes.axvline(tables.threshold, color="black", linestyle="--", linewidth=1, label=f"τ = {tables.threshold:g}")
    parts = " = α·surprise + β·novelty + γ·reward + δ·pin" if kinds == {"episodic"} else ""
    axes.set(xlabel=f"gate score S{parts}", ylabel="events")
    axes.legend(frameon=False, fontsize=8)
    return figure


def replay_plot(report: Report, tables: NightTables) -> Figure | None:
    """Weights of the replayed samples, largest first, by kind of store."""
    if tables.replay is None or not tables.replay.num_rows:
        return None
    figure, axes = new_axes("Replay weights")
    weights = np.asarray(tables.replay.column("weight").to_pylist(), dtype=float)
    kinds = np.asarray(tables.replay.column("kind").to_pylist(), dtype=str)
    for kind, colour in zip(sorted(set(kinds)), (BLUE, ORANGE, GREEN), strict=False):
        own = np.sort(weights[kinds == kind])[::-1]
        axes.step(np.arange(1, len(own) + 1), own, where="mid", color=colour, label=f"{kind} ({len(own)})")
    axes.set(xlabel="sample, by weight", ylabel="weight", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    return figure


def overlap_plot(report: Report, tables: NightTables) -> Figure | None:
    """EM of each held-out form against its largest token overlap with a train or probe form."""
    arm = report.arms.get("post_off_heldout")
    cells = [cell for cell in arm.by_form.values() if cell.jaccard is not None] if arm else []
    if not cells:
        return None
    figure, axes = new_axes("Unseen phrasings: EM against overlap with trained ones")
    axes.scatter([c.jaccard for c in cells], [c.em for c in cells], s=28, color=BLUE, alpha=0.7, edgecolors="none")
    axes.axvline(0.4, color=GREY, linestyle="--", linewidth=1)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.03, 1.05), xlabel="largest token overlap (Jaccard)", ylabel="EM of the form")
    return figure


def sanity_plot(report: Report, tables: NightTables) -> Figure | None:
    """Accuracy on general questions before and after, by panel."""
    if report.sanity is None:
        return None
    panels = {**report.sanity.by_panel, "all": report.sanity}
    figure, axes = new_axes("General questions")
    rows = np.arange(len(panels))
    for shift, (side, colour) in zip((-0.2, 0.2), (("pre", GREY), ("post", BLUE)), strict=True):
        values = [getattr(figures, side) for figures in panels.values()]
        bars = axes.bar(rows + shift, values, width=0.38, color=colour, label={"pre": "before", "post": "after"}[side])
        axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=1)
    labels = [f"{name}\n(n = {figures.n})" for name, figures in panels.items()]
    axes.set(xticks=rows, xticklabels=labels, ylim=(0, 1.25), ylabel="accuracy")
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.legend(frameon=False, fontsize=8, loc="upper right", ncols=2)
    axes.grid(False, axis="x")
    return figure


def retention_plot(report: Report, tables: NightTables) -> Figure | None:
    """R[i, j], EM on unseen phrasings of night j's facts after night i, as shades from 0 to 1."""
    if not report.retention or len(report.retention) < 2:
        return None
    nights = sorted({int(name) for row in report.retention.values() for name in row} | {*map(int, report.retention)})
    after = sorted(map(int, report.retention))
    cells = [[report.retention[str(i)].get(str(j), math.nan) for j in nights] for i in after]
    figure, axes = new_axes("What is left of earlier nights, memory off, unseen phrasings", height=4.6)
    image = axes.imshow(cells, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    axes.grid(visible=False)
    axes.set_xticks(range(len(nights)), nights)
    axes.set_yticks(range(len(after)), after)
    axes.set_xlabel("facts of night")
    axes.set_ylabel("after night")
    figure.colorbar(image, ax=axes, label="EM")
    if len(nights) <= _MOST_NUMBERS:
        for row, values in enumerate(cells):
            for column, value in enumerate(values):
                if not math.isnan(value):
                    dark = value < 0.6
                    axes.text(
                        column,
                        row,
                        f"{value:.2f}",
                        ha="center",
                        va="center",
                        color="white" if dark else "black",
                        size=8,
                    )
    return figure


PLOTS: Mapping[str, Callable[[Report, NightTables], Figure | None]] = {
    "arms": arms_plot,
    "loss": loss_plot,
    "overlap": overlap_plot,
    "sanity": sanity_plot,
    "gate": gate_plot,
    "replay": replay_plot,
    "retention": retention_plot,
}
"""Every plot by its file name, in the order of the page."""


def draw(report: Report, tables: NightTables) -> dict[str, bytes]:
    """All plots that the night has data for, as PNG by name."""
    figures = {name: plot(report, tables) for name, plot in PLOTS.items()}
    return {name: png(figure) for name, figure in figures.items() if figure is not None}
