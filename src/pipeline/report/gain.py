"""By how much one variant of a sweep learned more than another: the difference of their held-out EM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifacts import read_table
from pipeline.evaluation.answers import SCHEMA_NAME
from pipeline.evaluation.bootstrap import difference_interval
from pipeline.evaluation.metrics import Scored, scored
from pipeline.evaluation.seeds import mean_over_seeds

if TYPE_CHECKING:
    from pipeline.report.sweep import Measured

ARM = "post_off_heldout"
Gain = tuple[float, tuple[float, float] | None]  # the difference, and 95 %


def gain(runs: Sequence[Measured], others: Sequence[Measured]) -> Gain | None:
    """Held-out EM of some runs less that of others, of the seeds that both have; None without any.

    The interval is Student's over seeds; of a single seed it is bootstrapped by fact and then form, the two answers to
    a question taken together.
    """
    by_seed = {run.seed: run for run in others}
    pairs = [(run, by_seed[run.seed]) for run in runs if run.seed in by_seed]
    if not pairs:
        return None
    mean = mean_over_seeds([own.report.arms[ARM].em - other.report.arms[ARM].em for own, other in pairs])
    if mean.margin is not None:
        return mean.value, (mean.value - mean.margin, mean.value + mean.margin)
    first, second = (run.answers for run in pairs[0])
    if first is None or second is None:
        return mean.value, None
    bounds = difference_interval(_answered(first), _answered(second))
    return mean.value, None if bounds is None else (bounds[0], bounds[1])


def _answered(path: Path) -> Scored:
    return scored(read_table(path, SCHEMA_NAME), ARM)
