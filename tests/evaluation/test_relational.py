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
    ("pre_off", "join_city", "join_city/test-1", 1.0),
    ("two_step", "join_city", "join_city/test-1", 1.0),
    ("two_step", "join_country", "join_country/test-1", 0.0),
    ("two_step_pre", "join_city", "join_city/test-1", 0.0),
    ("two_step_hops", "person_store", "join_city/test-1/hop-01", 1.0),
    ("two_step_hops", "adjacent", "unseen_walk/test-1/hop-01", 0.0),
]


def answers(rows: list[tuple[str, str, str, float]]) -> pa.Table:
    blank = {"item_id": "a", "split": "test", "prompt": "", "answer": "", "gold": "x", "aliases": [], "f1": 0.0}
    blank |= {"contains": 0.0, "refused": False, "overlong": False, "new_tokens": 1}
    told = [dict(zip(("arm", "relation", "form", "em"), row, strict=True)) for row in rows]
    return pa.Table.from_pylist([blank | row for row in told], schema=ANSWERS_SCHEMA)


def test_each_kind_of_question_is_counted_apart() -> None:
    figures = relational_figures(answers(ROWS), 50)
    assert figures is not None
    shares = {"one_hop": 0.5, "join": 0.0, "two_step_one_prompt": 1.0, "two_step": 0.5, "newest": 1.0}
    assert {kind: figures[kind] for kind in shares} == shares
    assert figures["n"] == {"one_hop": 2, "join": 1, "two_step_one_prompt": 1, "two_step": 2, "newest": 1}
    assert figures["ci95"].keys() == shares.keys() and figures["ci95"]["newest"] == [1.0, 1.0]
    once = {"mean": 1.0, "ci95": [1.0, 1.0], "n": 1}
    assert figures["prior"] == {"join": once, "two_step": {"mean": 0.0, "ci95": [0.0, 0.0], "n": 1}}
    assert figures["hops"] == once
    assert Relational(**figures).newest == 1.0


def test_an_interval_is_resampled_by_chain() -> None:
    rows = [("two_step", "join_city", f"join_city/test-{i}", float(chain == "a")) for chain in "ab" for i in range(20)]
    table = answers([ROWS[0], *rows])
    items = pa.array(["x", *("a" * 20), *("b" * 20)], pa.string())
    table = table.set_column(table.schema.get_field_index("item_id"), "item_id", items)
    figures = relational_figures(table, 400)
    assert figures is not None and figures["ci95"]["two_step"] == [0.0, 1.0]


@pytest.mark.parametrize("kept", [0, 3])
def test_what_was_not_asked_is_absent(kept: int) -> None:
    figures = relational_figures(answers([ROWS[kept]]))
    assert figures is not None and len(figures["n"]) == len(figures["ci95"]) == 1
    assert figures.keys() == {*figures["n"], "n", "ci95", "prior"} and not figures["prior"]
    assert relational_figures(answers(ROWS[5:])) is None
