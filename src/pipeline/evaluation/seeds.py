"""Means over seeds with Student's interval: how far a figure moves when everything random is drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy.stats import sem, t

LEVEL = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean over seeds; ``margin`` is half of its 95 % interval, None for a single seed."""

    value: float
    margin: float | None

    def __str__(self) -> str:
        """``84.7 ± 0.5`` per cent."""
        spread = "" if self.margin is None else f" ± {100 * self.margin:.1f}"
        return f"{100 * self.value:.1f}{spread}"


def mean_over_seeds(values: Sequence[float]) -> Mean:
    """Mean and half of Student's interval at `LEVEL`."""
    if len(values) < 2:
        return Mean(fmean(values), None)
    return Mean(fmean(values), float(t.ppf((1 + LEVEL) / 2, len(values) - 1) * sem(values)))
