"""The figures of the spatial suite: rows sorted by what is asked, unseen pairs apart, nothing invented."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.evaluation.answers import ANSWERS_SCHEMA
from pipeline.evaluation.spatial import spatial_figures


def row(arm: str, relation: str, em: float, gold: str = "mill") -> dict[str, object]:
    blank = {"item_id": "i", "form": "f", "split": "test", "prompt": "", "answer": "", "aliases": [], "f1": em}
    scores = {"em": em, "contains": em, "refused": False, "overlong": False, "new_tokens": 1}
    return {"arm": arm, "relation": relation, "gold": gold, **blank, **scores}


def test_figures_are_means_over_rows_of_their_relations() -> None:
    rows = [
        row("post_off_heldout", "adjacent", 1.0),
        row("post_off_heldout", "next_step", 0.0),
        row("post_off_heldout", "next_step", 1.0),
        row("post_off_heldout", "direction", 0.0),
        row("post_off_heldout", "person_place", 1.0),
        row("post_off", "direction", 1.0),
        row("unseen", "unseen_next", 1.0, "mill"),
        row("unseen", "unseen_next", 0.0, "barn"),
        row("unseen", "unseen_next", 0.0, "barn"),
        row("unseen_pre", "unseen_next", 0.0),
        row("unseen", "unseen_steps", 1.0, "2"),
        row("two_step", "unseen_next", 1.0),
        row("two_step_pre", "unseen_next", 0.0),
        row("two_step_hops", "adjacent", 1.0) | {"form": "unseen_next/test-1/hop-01"},
        row("two_step_hops", "adjacent", 0.0, "") | {"form": "unseen_next/test-1/hop-02"},
        row("two_step_hops", "adjacent", 0.0) | {"form": "unseen_walk/test-1/hop-01"},
    ]
    figures = spatial_figures(pa.Table.from_pylist(rows, schema=ANSWERS_SCHEMA), 50)
    assert figures is not None
    assert figures["next"] == pytest.approx(2 / 3) and figures["direction"] == 0.0
    assert figures["n"] == {"next": 3, "direction": 1}
    pairs = figures["unseen_pairs"]
    first = {name: pairs["next"][name] for name in ("em", "n", "majority", "before")}
    assert first == pytest.approx({"em": 1 / 3, "n": 3, "majority": 2 / 3, "before": 0.0})
    right, wrong = ({"mean": mean, "ci95": [mean, mean], "n": 1} for mean in (1.0, 0.0))
    assert pairs["next"]["two_step"] == pairs["next"]["hops"] == right and pairs["next"]["two_step_prior"] == wrong
    assert pairs["next"]["before_ci95"] == [0.0, 0.0] and pairs["next"]["ci95"] != [0.0, 0.0]
    assert pairs["steps"] == {"em": 1.0, "ci95": [1.0, 1.0], "n": 1, "majority": 1.0}


def test_other_suites_have_no_spatial_figures() -> None:
    rows = [row("post_off_heldout", "person_place", 1.0), row("unseen", "join", 1.0)]
    assert spatial_figures(pa.Table.from_pylist(rows, schema=ANSWERS_SCHEMA)) is None
