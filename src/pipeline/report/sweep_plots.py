"""The plot of a sweep: bars by variant, or lines over a logarithmic axis."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from pipeline.report.plots import BLUE, GREEN, ORANGE, RED, new_axes
from pipeline.report.sweep import FIGURES, HELD_OUT, Sweep, Variant, headline_of

BESIDE = {"worst_form": (ORANGE, "D"), "near_miss": (RED, "x"), "kept": (GREEN, "o")}
"""Figures in 0..1 that are drawn beside the headline, with colour and marker."""


def sweep_plot(sweep: Sweep) -> Figure | None:
    """One figure of all variants that have a finished run; None without any."""
    shown = [variant for variant in sweep.variants if headline_of(variant, sweep.headline) is not None]
    if not shown:
        return None
    return _bars(sweep, shown) if sweep.axis is None else _lines(sweep, shown, sweep.axis)


def _title(sweep: Sweep) -> str:
    what = "all nights" if sweep.headline != HELD_OUT else "unseen phrasings"
    return f"{sweep.title}: exact match of {what}, memory off"


def _headlines(sweep: Sweep, shown: Sequence[Variant]) -> tuple[list[float], list[list[float]]]:
    """Means, and how far each interval reaches below and above, cut off at 0 and 1."""
    found = [headline for variant in shown if (headline := headline_of(variant, sweep.headline)) is not None]
    means = [mean for mean, _ in found]
    below = [max(0.0, mean - max(0.0, (bounds or (mean, mean))[0])) for mean, bounds in found]
    above = [max(0.0, min(1.0, (bounds or (mean, mean))[1]) - mean) for mean, bounds in found]
    return means, [below, above]


def _bars(sweep: Sweep, shown: Sequence[Variant]) -> Figure:
    figure, axes = new_axes(_title(sweep), height=1.6 + 0.36 * len(shown))
    rows = list(range(len(shown)))
    means, spread = _headlines(sweep, shown)
    axes.barh(rows, means, height=0.7, color=BLUE, alpha=0.75, label="EM")
    axes.errorbar(means, rows, xerr=spread, fmt="none", color="black", linewidth=1, capsize=2)
    for name, (colour, marker) in BESIDE.items():
        points = [(v.figures[name].mean, row) for row, v in enumerate(shown) if name in v.figures]
        if points:
            xs, ys = zip(*points, strict=True)
            axes.scatter(xs, ys, color=colour, marker=marker, s=26, zorder=3, label=FIGURES[name][0])
    axes.set(xlim=(-0.02, 1.05), xlabel="share", yticks=rows, yticklabels=[variant.name for variant in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(False, axis="y")
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def _lines(sweep: Sweep, shown: Sequence[Variant], axis: str) -> Figure:
    shown = sorted(shown, key=lambda variant: variant.axis or 0.0)
    places = [variant.axis or 0.0 for variant in shown]
    figure, axes = new_axes(_title(sweep))
    means, spread = _headlines(sweep, shown)
    axes.errorbar(places, means, yerr=spread, color=BLUE, marker="s", markersize=4, capsize=3, label="EM")
    for name, (colour, marker) in BESIDE.items():
        points = [(place, v.figures[name].mean) for place, v in zip(places, shown, strict=True) if name in v.figures]
        if points:
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, color=colour, marker=marker, markersize=4, linewidth=1, label=FIGURES[name][0])
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{place:,g}" for place in places])
    axes.set(ylim=(-0.02, 1.05), xlabel=axis, ylabel="share")
    axes.legend(frameon=False, fontsize=8)
    return figure


def svg(figure: Figure) -> bytes:
    """The figure as SVG, the same bytes for the same figure."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "engram", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
