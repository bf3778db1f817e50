"""What earlier nights taught and the model still knows after this one: a row of the retention matrix.

R[i, j] is EM, memory off, on test forms of all facts of night j, learned or not, asked after night i (Lopez-Paz and
Ranzato 2017, "Gradient episodic memory").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from pipeline.evaluation.arms import SLOW_ARMS, Ask, limit_forms
from pipeline.evaluation.metrics import arm_rows
from pipeline.suites.types import Fact

FactsByNight = Mapping[int, Sequence[Fact]]
"""Facts of earlier nights by the number of the night that taught them."""

Row = dict[str, float]
"""EM by night that taught, as JSON has it: keys are numbers as text."""


def retention_asks(earlier: FactsByNight, forms: int, previous: bool) -> list[Ask]:
    """Closed-book asks about the facts of earlier nights.

    Args:
        earlier: Their facts, with questions of every split.
        forms: Test forms asked per fact, chosen by the hash of their names.
        previous: Whether the adapter that this night started from answers the probe questions too.
    """
    facts = [fact for taught in earlier.values() for fact in taught]
    test = limit_forms([q for fact in facts for q in fact.asked("test") or fact.asked("train")], forms)
    probe = limit_forms([q for fact in facts for q in fact.asked("probe")], 1)
    asked = {"earlier_heldout": test, "earlier_probe": probe, "earlier_probe_before": probe if previous else []}
    return [Ask(arm, question) for arm, questions in asked.items() for question in questions]


def slow_asks(asks: Iterable[Ask]) -> list[Ask]:
    """What is asked about taught facts of tonight and of earlier nights, asked of the average over nights."""
    return [Ask(SLOW_ARMS[ask.arm], ask.question) for ask in asks if ask.arm in SLOW_ARMS]


def retention_row(answers: pa.Table, night_of: Mapping[str, int], arms: Iterable[str] = tuple(SLOW_ARMS)) -> Row:
    """R[i, j] for every night j up to the one that gave these answers; a night without a question is left out.

    Args:
        answers: Of tonight's facts and of earlier ones; a fact that was due again tonight counts for its first night.
        night_of: The night that first taught each fact, by its id.
        arms: Of tonight's facts and of earlier ones; by default those of the night's own adapter.
    """
    scores: dict[int, list[float]] = {}
    rows = arm_rows(answers, *arms)
    for item, em in zip(rows.column("item_id").to_pylist(), rows.column("em").to_pylist(), strict=True):
        scores.setdefault(night_of[item], []).append(float(em))
    return {str(number): float(np.mean(scores[number])) for number in sorted(scores)}


def slow_figures(answers: pa.Table, night_of: Mapping[str, int], decay: float) -> dict[str, object]:
    """What the average over nights still knows of each night, beside the night's own adapter; empty if not asked.

    Args:
        answers: As of `retention_row`.
        night_of: As of `retention_row`.
        decay: Of the average.
    """
    slow, fast = retention_row(answers, night_of, SLOW_ARMS.values()), retention_row(answers, night_of)
    if not slow:
        return {}
    mean, beside = (float(np.mean(list(row.values()))) for row in (slow, fast))
    return {"slow": {"decay": decay, "retention": slow, "mean": mean, "fast_mean": beside}}


def backward_transfer(matrix: Mapping[str, Row]) -> float | None:
    """Mean of R[N, i] − R[i, i] over the nights i before the last one, N; None before the second night."""
    if not matrix:
        return None
    last = max(matrix, key=int)
    changes = [
        matrix[last][night] - matrix[night][night]
        for night in matrix
        if night != last and night in matrix[last] and night in matrix[night]
    ]
    return float(np.mean(changes)) if changes else None
