"""The report's ``spatial``: EM by what is asked, and EM on pairs of places that no training form names together."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

KINDS = {"next": ("adjacent", "next_step"), "direction": ("direction",)}
"""Relations of the held-out rows that make up each figure: the next place in a direction or on a way; a direction."""
UNSEEN_PREFIX = "unseen_"
_UNSEEN_ARMS = {"before": "unseen_pre", "memory_on": "unseen_on"}


def spatial_figures(answers: pa.Table) -> dict[str, Any] | None:
    """``{next, direction, n, unseen_pairs}``, or None where no spatial question was asked.

    ``n`` counts the rows of ``next`` and ``direction``. ``unseen_pairs`` maps ``next``, ``steps`` and ``walk`` to
    ``{em, n, majority, before, memory_on}``: closed book after the night, rows, the share of the most frequent answer
    (what a guesser gets), closed book before it, and before it with the planned way in the prompt. What was not asked
    is absent.

    Args:
        answers: `pipeline.evaluation.answers.ANSWERS_SCHEMA`.
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
        figures["unseen_pairs"] = {kind.removeprefix(UNSEEN_PREFIX): _unseen(answers, kind) for kind in kinds}
    return figures


def _rows(answers: pa.Table, arm: str) -> pa.Table:
    return answers.filter(pc.field("arm") == arm)


def _em(rows: pa.Table) -> float | None:
    return float(pc.mean(rows.column("em")).as_py()) if rows.num_rows else None


def _unseen(answers: pa.Table, relation: str) -> dict[str, Any]:
    rows = answers.filter(pc.field("relation") == relation)
    golds = Counter(_rows(rows, "unseen").column("gold").to_pylist())
    measured = {name: _em(_rows(rows, arm)) for name, arm in _UNSEEN_ARMS.items()}
    return {
        "em": _em(_rows(rows, "unseen")),
        "n": golds.total(),
        "majority": max(golds.values()) / golds.total(),
        **{name: value for name, value in measured.items() if value is not None},
    }
