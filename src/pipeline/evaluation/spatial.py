"""The report's ``spatial``: EM by what is asked, and EM on pairs of places that no training form names together."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.composed import in_steps, rows_of, share

KINDS = {"next": ("adjacent", "next_step"), "direction": ("direction",)}
"""Relations of the held-out rows that make up each figure: the next place in a direction or on a way; a direction."""
UNSEEN_PREFIX = "unseen_"


def spatial_figures(answers: pa.Table, resamples: int = 2000, seed: int = 1337) -> dict[str, Any] | None:
    """``{next, direction, n, unseen_pairs}``, or None where no spatial question was asked.

    ``n`` counts the rows of ``next`` and ``direction``. ``unseen_pairs`` maps ``next``, ``steps`` and ``walk`` to
    ``{em, ci95, n, majority, before, before_ci95, memory_on, two_step, two_step_prior, hops}``: closed book after the
    night, rows, the share of the most frequent answer (what a guesser gets), closed book before it, and before it with
    the planned way in the prompt. ``two_step``, ``two_step_prior`` and ``hops`` (`pipeline.evaluation.composed`) are of
    the same pairs asked in steps, after the night and before it, and of their single questions. What was not asked is
    absent.

    Args:
        answers: `pipeline.evaluation.answers.ANSWERS_SCHEMA`.
        resamples: Bootstrap samples of each interval.
        seed: Of the bootstrap.
    """
    heldout = _rows(answers, "post_off_heldout")
    asked = {kind: heldout.filter(pc.field("relation").isin(list(names))) for kind, names in KINDS.items()}
    asked = {kind: rows for kind, rows in asked.items() if rows.num_rows}
    if not asked:
        return None
    figures: dict[str, Any] = {kind: _em(rows) for kind, rows in asked.items()}
    figures["n"] = {kind: rows.num_rows for kind, rows in asked.items()}
    unseen = _rows(answers, "unseen")
    if unseen.num_rows:
        kinds = sorted(set(unseen.column("relation").to_pylist()))
        figures["unseen_pairs"] = {
            kind.removeprefix(UNSEEN_PREFIX): _unseen(answers, kind, resamples, seed) for kind in kinds
        }
    return figures


def _rows(answers: pa.Table, arm: str) -> pa.Table:
    return answers.filter(pc.field("arm") == arm)


def _em(rows: pa.Table) -> float | None:
    return float(pc.mean(rows.column("em")).as_py()) if rows.num_rows else None


def _unseen(answers: pa.Table, relation: str, resamples: int, seed: int) -> dict[str, Any]:
    rows = rows_of(answers, "unseen", [relation])
    golds = Counter(rows.column("gold").to_pylist())
    after, before = share(rows, resamples, seed), share(rows_of(answers, "unseen_pre", [relation]), resamples, seed)
    steps = in_steps(answers, [relation], resamples, seed)
    found = {
        "em": _em(rows),
        "ci95": after and after["ci95"],
        "n": golds.total(),
        "majority": max(golds.values()) / golds.total(),
        "before": before and before["mean"],
        "before_ci95": before and before["ci95"],
        "memory_on": _em(rows_of(answers, "unseen_on", [relation])),
        "two_step": steps.get("two_step"),
        "two_step_prior": steps.get("prior"),
        "hops": steps.get("hops"),
    }
    return {name: value for name, value in found.items() if value is not None}
