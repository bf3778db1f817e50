"""How well relations are known with the memory off: one hop, joins that nobody trained, and what was corrected."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.suites.chains import HOPS, JOINS, NEWEST, STEPS

ARM = "post_off_heldout"


def relational_figures(answers: pa.Table) -> dict[str, Any] | None:
    """EM of the held-out questions about relations, by kind of question.

    Args:
        answers: `pipeline.evaluation.answers.ANSWERS_SCHEMA`.

    Returns:
        ``{one_hop, join, two_step, newest, n}``: relations that were stated once; the tail of a later hop given the
        first head, at once and with the steps between; relations that were corrected. ``n`` has the number of questions
        of each. What was not asked is left out; None when no question is about relations.
    """
    asked = answers.filter(pc.field("arm") == ARM)
    corrected = pc.starts_with(pc.field("form"), NEWEST)
    single = pc.field("relation").isin(list(HOPS))
    parts = {
        "one_hop": asked.filter(single & ~corrected),
        "join": asked.filter(pc.field("relation").isin(list(JOINS))),
        "two_step": asked.filter(pc.field("relation").isin(list(STEPS))),
        "newest": asked.filter(single & corrected),
    }
    measured = {name: rows for name, rows in parts.items() if rows.num_rows}
    if not measured:
        return None
    shares = {name: float(pc.mean(rows.column("em")).as_py()) for name, rows in measured.items()}
    return {**shares, "n": {name: rows.num_rows for name, rows in measured.items()}}
