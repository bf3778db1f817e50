"""Alarms: whether accuracy fell behind the gate's opening by more than chance, and limits that no figure may cross.

A drop is judged on the same validation sequences before and after: McNemar's exact test of the sequences that went from
right to wrong against those that went the other way, and a paired bootstrap interval of the difference. Two of 64
sequences, as in the document's log, say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from pipeline.config.nce import AlarmConfig
from pipeline.errors import DataError

MIN_EXAMPLES = 2_000
"""Sequences below which no drop is judged."""

_RESAMPLES = 2_000

Correct = NDArray[np.bool_] | NDArray[np.float64]


@dataclass(frozen=True)
class DropTest:
    """Two evaluations of the same sequences.

    Attributes:
        examples: How many.
        before: Accuracy before.
        after: Accuracy after.
        difference: After minus before.
        ci95: Interval of the difference, paired bootstrap over sequences.
        lost: Sequences that became worse.
        won: Sequences that became better.
        p_value: One-sided: the chance of so many worse ones, or more, if either were as likely; times the number of
            evaluations that are judged, at most 1.
        judged: Whether there are enough sequences.
        significant: Whether it is judged, and p_value is below the level.
    """

    examples: int
    before: float
    after: float
    difference: float
    ci95: tuple[float, float]
    lost: int
    won: int
    p_value: float
    judged: bool
    significant: bool


@dataclass(frozen=True)
class Alarm:
    """Whether training stops, after how many evaluations in a row with a drop, and why."""

    raised: bool
    drops: int
    reason: str


@dataclass(frozen=True)
class Trip:
    """A limit that was crossed.

    Attributes:
        wire: ``read``, ``write``, ``residual``, ``accuracy`` or ``nan``.
        value: What was measured.
        limit: What was allowed; None for ``nan``.
        reason: In words.
    """

    wire: str
    value: float
    limit: float | None
    reason: str


def paired_drop(before: Correct, after: Correct, level: float = 0.05, evaluations: int = 1, seed: int = 0) -> DropTest:
    """Compare two evaluations of the same sequences.

    The best of many earlier evaluations is too good by luck: the one just before the gate opened is the fair one.

    Args:
        before: Whether each answer was right, (N,), or (N, Q) for Q questions a sequence, which count as one share.
        after: The same, in the same order.
        level: Of the test.
        evaluations: How often one run is judged so, by which p is multiplied (Bonferroni).
        seed: Of the bootstrap.

    Raises:
        DataError: The two differ in shape, or are empty.
    """
    if before.shape != after.shape or not before.size:
        raise DataError(f"a drop needs the same sequences twice, found shapes {before.shape} and {after.shape}")
    first, second = (np.asarray(part, np.float64).reshape(len(part), -1).mean(1) for part in (before, after))
    change = second - first
    lost, won = int((change < 0).sum()), int((change > 0).sum())
    p_value = min(1.0, evaluations * float(binom.sf(lost - 1, lost + won, 0.5))) if lost else 1.0
    kinds, counts = np.unique(change, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(change), counts / len(change), size=_RESAMPLES)
    low, high = np.quantile(drawn @ kinds / len(change), [0.025, 0.975])
    judged = len(change) >= MIN_EXAMPLES
    return DropTest(
        examples=len(change),
        before=float(first.mean()),
        after=float(second.mean()),
        difference=float(change.mean()),
        ci95=(float(low), float(high)),
        lost=lost,
        won=won,
        p_value=p_value,
        judged=judged,
        significant=judged and p_value < level,
    )


def drop_alarm(config: AlarmConfig, tests: Sequence[DropTest]) -> Alarm:
    """Judge all evaluations since the gate opened, in order: the last ones must all be significant and too large."""
    drops = 0
    for test in reversed(tests):
        if not (test.significant and test.difference < -config.drop_threshold):
            break
        drops += 1
    if not tests:
        return Alarm(False, 0, "nothing was evaluated since the gate opened")
    last = tests[-1]
    said = (
        f"accuracy {last.before:.4f} to {last.after:.4f} on {last.examples} sequences, {last.lost} lost and "
        f"{last.won} won, p={last.p_value:.2g}"
    )
    if not last.judged:
        return Alarm(False, 0, f"not judged, {MIN_EXAMPLES} sequences are needed: {said}")
    if drops >= config.drop_patience:
        return Alarm(True, drops, f"dropped by more than {config.drop_threshold:g} {drops} times in a row: {said}")
    return Alarm(False, drops, said)


def tripped(
    config: AlarmConfig, figures: Mapping[str, float | None], *, watched: bool, solver_tolerance: float = 0.0
) -> list[Trip]:
    """Which limits the last epoch's figures cross.

    Args:
        config: Section of the alarms.
        figures: ``read``, ``write``, ``residual`` and ``accuracy``, see `AlarmConfig`, and any others, such as losses,
            that must be numbers; None is not measured.
        watched: Whether read, write and accuracy are watched by now, see `watching`.
        solver_tolerance: Relative residual at which the solver stops.
    """
    trips = [
        Trip("nan", value, None, f"{name} is {value}")
        for name, value in figures.items()
        if value is not None and not math.isfinite(value)
    ]
    least = {"read": config.tripwire_read, "write": config.tripwire_write, "accuracy": config.tripwire_val_acc_min}
    for wire, limit in least.items():
        value = figures.get(wire)
        if watched and limit is not None and value is not None and value < limit:
            trips.append(Trip(wire, value, limit, f"{wire} {value:.4f} is below {limit:g}"))
    value = figures.get("residual")
    if config.tripwire_residual is not None and value is not None:
        limit = solver_tolerance + config.tripwire_residual
        if value > limit and math.isfinite(value):
            trips.append(Trip("residual", value, limit, f"residual {value:.2e} is above {limit:.2e}"))
    return trips


def watching(config: AlarmConfig, epoch: int, openings: int) -> bool:
    """Whether read, write and accuracy are watched in an epoch, given how often the gate has opened."""
    start = config.tripwire_start_epoch
    return openings > 0 if start is None else epoch >= start
