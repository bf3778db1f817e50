"""Plots of the page: headline figures with their bars, retention matrices of months, learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from pipeline.report.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, new_axes
from pipeline.report.schema import Report
from pipeline.report.sweep_plots import svg
from pipeline.results.entries import Entry
from pipeline.results.judging import Results, Row, row_of, spread

Matrix = dict[tuple[int, int], float]
"""R[i, j] by night and the night that taught."""

_MOST_NUMBERS = 12  # nights up to which every cell holds its figure
_MOST_CURVES = 12
_COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)
_POINTS = 200  # of a learning curve at most


def draw(results: Results) -> dict[str, bytes]:
    """Every plot that there are figures for, as SVG by name."""
    figures: dict[str, Figure | None] = {"headlines": headlines_plot(results)}
    for group in results.groups:
        entries = group.main.entries if group.main else ()
        short = group.variants[0].short if len(group.variants) == 1 else ()
        if len(short) > 1 and group.variants[0].settings is None:
            short = ()  # nobody knows whether they are alike
        title = "What is left of every night"
        figures[f"retention-{group.name}"] = retention_plot(mean_matrix(entries), f"{title}: {group.name}")
        figures[f"short-{group.name}"] = retention_plot(mean_matrix(short), f"{title}, months cut short")
        figures[f"curve-{group.name}"] = curves_plot(entries, f"Probe questions while training: {group.name}")
    return {name: svg(figure) for name, figure in figures.items() if figure is not None}


def headlines_plot(results: Results) -> Figure | None:
    """Each group's headline: every seed, the mean with its interval, and the bar as a line."""
    shown: list[tuple[str, Row]] = []
    for group in results.groups:
        wanted = next(
            (
                r.config
                for r in results.rows
                if (r.config.group, r.config.figure) == (group.name, group.config.headline)
            ),
            None,
        )
        if wanted is not None and (row := row_of(wanted, group.main)).values:
            shown.append((f"{group.name}: {wanted.title}", row))
    if not shown:
        return None
    figure, axes = new_axes("Headline figures, memory off (bar in red)", width=8.0, height=1.1 + 0.42 * len(shown))
    for place, (_, row) in enumerate(shown):
        found = spread(row.values)
        assert found is not None
        low, high = found.interval or row.own or (found.mean, found.mean)
        reach = [[max(0.0, found.mean - max(0.0, low))], [max(0.0, min(1.0, high) - found.mean)]]
        axes.errorbar(found.mean, place, xerr=reach, fmt="s", color=BLUE, markersize=5, capsize=3, zorder=3)
        axes.scatter(list(row.values.values()), [place] * len(row.values), s=14, color=GREY, zorder=2)
        if row.bars:
            bar = sum(row.bars.values()) / len(row.bars)
            axes.plot([bar, bar], [place - 0.35, place + 0.35], color=RED, linewidth=2, zorder=4)
    axes.set(xlim=(-0.02, 1.05), xlabel="share (grey: each seed)", yticks=range(len(shown)))
    axes.set_yticklabels([name for name, _ in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(False, axis="y")
    return figure


def mean_matrix(entries: Sequence[Entry]) -> Matrix:
    """R[i, j], mean over months; cells that not every month has are left out."""
    cells: dict[tuple[int, int], list[float]] = {}
    for entry in entries:
        report = entry.run.report
        for night, row in ((report.retention or {}) if isinstance(report, Report) else {}).items():
            for taught, value in row.items():
                cells.setdefault((int(night), int(taught)), []).append(value)
    return {cell: sum(values) / len(values) for cell, values in cells.items() if len(values) == len(entries)}


def retention_plot(matrix: Mapping[tuple[int, int], float], title: str) -> Figure | None:
    """A retention matrix as shades from 0 to 1; None for fewer than two nights."""
    after, taught = sorted({i for i, _ in matrix}), sorted({j for _, j in matrix})
    if len(after) < 2:
        return None
    figure, axes = new_axes(title, width=6.4, height=4.6)
    cells = [[matrix.get((i, j), math.nan) for j in taught] for i in after]
    image = axes.imshow(cells, vmin=0, vmax=1, cmap="viridis", aspect="auto")  # one picture, not a path a cell
    axes.grid(visible=False)
    axes.set_xticks(range(len(taught)), taught)
    axes.set_yticks(range(len(after)), after)
    axes.tick_params(labelsize=8 if len(taught) <= 20 else 6)
    axes.set(xlabel="facts of night", ylabel="after night")
    figure.colorbar(image, ax=axes, label="EM, unseen phrasings")
    if len(taught) <= _MOST_NUMBERS:
        for y, row in enumerate(cells):
            for x, value in enumerate(row):
                if not math.isnan(value):
                    colour = "white" if value < 0.6 else "black"
                    axes.text(x, y, f"{value:.2f}", ha="center", va="center", color=colour, size=8)
    return figure


def curves_plot(entries: Sequence[Entry], title: str) -> Figure | None:
    """Accuracy on probe questions by training step, a line a seed; None where nobody kept the steps."""
    shown = [entry for entry in entries if len(entry.run.curve) > 1][:_MOST_CURVES]
    if not shown:
        return None
    figure, axes = new_axes(title)
    for place, entry in enumerate(shown):
        curve = entry.run.curve[:: max(1, len(entry.run.curve) // _POINTS)]
        steps, values = zip(*curve, strict=True)
        colour = _COLOURS[place % len(_COLOURS)]
        axes.plot(steps, values, color=colour, marker="o", markersize=3, linewidth=1, label=f"seed {entry.seed}")
    axes.set(ylim=(-0.02, 1.05), xlabel="step", ylabel="EM of probe questions")
    axes.legend(frameon=False, fontsize=8)
    return figure
