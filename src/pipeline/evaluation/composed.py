"""Shares of right answers with their intervals, and what became of questions that were asked in steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.evaluation.arms import TWO_STEP_ARMS, TWO_STEP_HOP_ARMS
from pipeline.evaluation.bootstrap import mean_interval


def share(rows: pa.Table, resamples: int, seed: int) -> dict[str, Any] | None:
    """``{mean, ci95, n}`` of EM, resampled by item (a chain, a pair of places) and then by form; None without rows."""
    if not rows.num_rows:
        return None
    scores: NDArray[np.float64] = rows.column("em").to_numpy()
    interval = mean_interval(scores, rows.column("item_id").to_pylist(), resamples, seed)
    return {"mean": float(scores.mean()), "ci95": interval, "n": rows.num_rows}


def rows_of(answers: pa.Table, arm: str, relations: Iterable[str]) -> pa.Table:
    """The rows of an arm about some relations."""
    return answers.filter((pc.field("arm") == arm) & pc.field("relation").isin(list(relations)))


def in_steps(answers: pa.Table, relations: Iterable[str], resamples: int, seed: int) -> dict[str, Any]:
    """How questions of some relations were answered in steps, see `pipeline.evaluation.self_ask`.

    Returns:
        ``{two_step, prior, hops}``, each as `share` returns it: after the night, before it, and the single questions
        after it that are about a taught fact. What was not asked is absent.
    """
    relations = list(relations)
    before, after = TWO_STEP_ARMS
    hops = answers.filter((pc.field("arm") == TWO_STEP_HOP_ARMS[1]) & (pc.field("gold") != ""))
    composed = pc.list_element(pc.split_pattern(hops.column("form"), "/"), 0)
    hops = hops.filter(pc.is_in(composed, pa.array(relations, pa.string())))
    found = {
        "two_step": share(rows_of(answers, after, relations), resamples, seed),
        "prior": share(rows_of(answers, before, relations), resamples, seed),
        "hops": share(hops, resamples, seed),
    }
    return {name: figure for name, figure in found.items() if figure}
