"""EM of relations by kind of question, against counting by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.evaluation.answers import ANSWERS_SCHEMA
from pipeline.evaluation.relational import relational_figures
from pipeline.report.schema import Relational

ROWS = [
    ("post_off_heldout", "person_store", "person_store/test-1", 1.0),
    ("post_off_heldout", "city_country", "city_country/test-4", 0.0),
    ("post_off_heldout", "store_city", "newest/store_city/test-1", 1.0),
    ("post_off_heldout", "join_city", "join_city/test-1", 0.0),
    ("post_off_heldout", "steps_city", "steps_city/test-2", 1.0),
    ("post_off_heldout", "person_place", "person_place/test-1", 0.0),
    ("post_off", "person_store", "person_store/train-1a", 0.0),
    ("untaught", "join_city", "join_city/test-1", 1.0),
]


def answers(rows: list[tuple[str, str, str, float]]) -> pa.Table:
    blank = {"item_id": "a", "split": "test", "prompt": "", "answer": "", "gold": "", "aliases": [], "f1": 0.0}
    blank |= {"contains": 0.0, "refused": False, "overlong": False, "new_tokens": 1}
    told = [dict(zip(("arm", "relation", "form", "em"), row, strict=True)) for row in rows]
    return pa.Table.from_pylist([blank | row for row in told], schema=ANSWERS_SCHEMA)


def test_each_kind_of_question_is_counted_apart() -> None:
    figures = relational_figures(answers(ROWS))
    counts = {"one_hop": 2, "join": 1, "two_step": 1, "newest": 1}
    assert figures == {"one_hop": 0.5, "join": 0.0, "two_step": 1.0, "newest": 1.0, "n": counts}
    assert Relational(**figures).newest == 1.0


@pytest.mark.parametrize("kept", [0, 3])
def test_what_was_not_asked_is_absent(kept: int) -> None:
    figures = relational_figures(answers([ROWS[kept]]))
    assert figures is not None and len(figures) == 2 and sum(figures["n"].values()) == 1
    assert relational_figures(answers(ROWS[5:])) is None
