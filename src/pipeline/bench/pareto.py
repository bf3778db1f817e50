"""The plot of ``engram bench methods``: what was learned against what it moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Point = tuple[float, float]
"""Worst-domain KL (low is good) and held-out EM (high is good)."""

SMALLEST, LARGEST = 25.0, 600.0  # areas of marks in square points
LINEAR = 1e-3  # nats a token below which the axis is linear, so that 0 has a place


def pareto_front(points: Mapping[str, Point]) -> list[str]:
    """Names of the points that no other point beats in one figure without losing in the other, by rising KL."""

    def beaten(point: Point) -> bool:
        return any(other != point and other[0] <= point[0] and other[1] >= point[1] for other in points.values())

    return sorted((name for name, point in points.items() if not beaten(point)), key=lambda name: points[name])


def pareto_plot(found: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Held-out EM with its interval against worst-domain KL; area is training tokens, hollow marks keep a memory on.

    Args:
        found: By method, what `pipeline.bench.comparison.contend` returns.
    """
    from pipeline.report.plots import BLUE, GREY, ORANGE, new_axes

    figure, axes = new_axes("What was learned against what it moved", width=7.6, height=4.6)
    points = {name: (float(one["drift"]["kl_base"]), float(one["held_out"]["em"])) for name, one in found.items()}
    most = max((one["training_tokens"] for one in found.values()), default=0)
    for name, (kl, em) in points.items():
        one, colour = found[name], BLUE if name == "ours" else ORANGE
        low, high = one["held_out"]["em_ci95"]
        area = SMALLEST + (LARGEST - SMALLEST) * (one["training_tokens"] / most if most else 0.0)
        face = "none" if one["memory_on"] else colour
        axes.errorbar(kl, em, yerr=[[max(0.0, em - low)], [max(0.0, high - em)]], color=GREY, linewidth=0.8, zorder=1)
        axes.scatter([kl], [em], s=area, facecolors=face, edgecolors=colour, alpha=0.75, zorder=2)
        axes.annotate(name, (kl, em), xytext=(7, 5), textcoords="offset points", fontsize=8)
    front = [points[name] for name in pareto_front(points)]
    axes.plot([kl for kl, _ in front], [em for _, em in front], color=GREY, linestyle="--", linewidth=1, zorder=0)
    axes.set_xscale("symlog", linthresh=LINEAR)
    axes.set(ylim=(-0.03, 1.05), ylabel="held-out exact match")
    axes.set_xlim(left=-LINEAR / 4)
    axes.set_xlabel("KL(base || model) of the worst domain, nats a token (area: training tokens; hollow: memory on)")
    return figure
