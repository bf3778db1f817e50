"""How well relations are known with the memory off: one hop, joins that nobody trained, and what was corrected."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.composed import in_steps, rows_of, share
from pipeline.suites.chains import HOPS, JOINS, NEWEST, STEPS

BEFORE, AFTER = "pre_off", "post_off_heldout"


def relational_figures(answers: pa.Table, resamples: int = 2000, seed: int = 1337) -> dict[str, Any] | None:
    """EM of the held-out questions about relations, by kind of question.

    Args:
        answers: `pipeline.evaluation.answers.ANSWERS_SCHEMA`.
        resamples: Bootstrap samples of each interval.
        seed: Of the bootstrap.

    Returns:
        ``{one_hop, join, two_step_one_prompt, two_step, newest, n, ci95, prior, hops}``: relations that were stated
        once; the tail of a later hop given the first head, asked at once, asked for with the steps between, and asked
        in steps, with each answer in the next question; relations that were corrected. By the same names, ``n`` has
        the number of questions, ``ci95`` the intervals, and ``prior`` (``{mean, ci95, n}``) what the base scored when
        asked the same way. ``hops`` (the same) is about the single questions of those asked in steps. What was not
        asked is left out; None when no question is about relations.
    """
    after, before = _by_kind(answers, AFTER), _by_kind(answers, BEFORE)
    measured = {kind: figure for kind, rows in after.items() if (figure := share(rows, resamples, seed))}
    if not measured:
        return None
    prior = {kind: figure for kind, rows in before.items() if (figure := share(rows, resamples, seed))}
    steps = in_steps(answers, JOINS, resamples, seed)
    if "two_step" in steps:
        measured["two_step"] = steps["two_step"]
    if "prior" in steps:
        prior["two_step"] = steps["prior"]
    return {
        **{kind: figure["mean"] for kind, figure in measured.items()},
        "n": {kind: figure["n"] for kind, figure in measured.items()},
        "ci95": {kind: figure["ci95"] for kind, figure in measured.items()},
        "prior": prior,
        **({"hops": steps["hops"]} if "hops" in steps else {}),
    }


def _by_kind(answers: pa.Table, arm: str) -> dict[str, pa.Table]:
    """The rows of an arm that asks a composed question once."""
    corrected = pc.starts_with(pc.field("form"), NEWEST)
    single = rows_of(answers, arm, HOPS)
    return {
        "one_hop": single.filter(~corrected),
        "join": rows_of(answers, arm, JOINS),
        "two_step_one_prompt": rows_of(answers, arm, STEPS),
        "newest": single.filter(corrected),
    }
