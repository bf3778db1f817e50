"""How much of the gap between an empty prompt and the right passage in it one night closed.

    share = (post_off_heldout - pre_off) / (oracle_context - pre_off)

All three are asked the same questions. The base reads the passage, so the oracle is what this model makes of a text
before its eyes: a small model, which often misses what it reads, has a low one, and beating it is no proof of having
understood. Beside every share stands the gain on passages that nobody taught: what comes of the right form alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BEFORE, AFTER, ORACLE = "pre_off", "post_off_heldout", "oracle_context"
UNTAUGHT_BEFORE, UNTAUGHT_AFTER = "untaught_pre", "untaught"
SCORES = ("contains", "f1", "em")
HEADLINE = "contains"
"""The share that is ``gap_closed``: SEAL's "gold contained", which asks the least of an answer's form."""


def gap_figures(answers: pa.Table) -> dict[str, Any]:
    """``{gap_closed, gap}``; empty where an arm was not run, or no question was asked in all three.

    Args:
        answers: `pipeline.evaluation.answers.ANSWERS_SCHEMA`.

    Returns:
        ``gap_closed`` is the share of `HEADLINE`, ``gap`` by score the means of the three arms and the share; a share
        is None where the passage is worth nothing.
    """
    arms = {arm: _scores(answers, arm) for arm in (BEFORE, AFTER, ORACLE)}
    asked = sorted(set.intersection(*(set(rows) for rows in arms.values())))
    if not asked:
        return {}
    gap = {}
    for index, score in enumerate(SCORES):
        pre, post, oracle = (_mean(arms[arm], asked, index) for arm in (BEFORE, AFTER, ORACLE))
        untaught = _gain(answers, index)
        gap[score] = {
            "pre": pre,
            "post": post,
            "oracle": oracle,
            "share": (post - pre) / (oracle - pre) if oracle > pre else None,
            "untaught": untaught / (oracle - pre) if oracle > pre and untaught is not None else None,
            "n": len(asked),
        }
    return {"gap_closed": gap[HEADLINE]["share"], "gap": gap}


def _scores(answers: pa.Table, arm: str) -> dict[tuple[str, str], tuple[float, ...]]:
    """Scores of an arm by item and form."""
    rows = answers.filter(pc.field("arm") == arm).to_pylist()
    return {(row["item_id"], row["form"]): tuple(float(row[score]) for score in SCORES) for row in rows}


def _mean(rows: dict[tuple[str, str], tuple[float, ...]], asked: Sequence[tuple[str, str]], index: int) -> float:
    return float(np.mean([rows[key][index] for key in asked]))


def _gain(answers: pa.Table, index: int) -> float | None:
    """What the night brought on passages that were never taught; None where they were not asked."""
    before, after = _scores(answers, UNTAUGHT_BEFORE), _scores(answers, UNTAUGHT_AFTER)
    asked = sorted(before.keys() & after.keys())
    return _mean(after, asked, index) - _mean(before, asked, index) if asked else None
