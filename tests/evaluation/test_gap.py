"""The share of the gap that a night closed, on the questions that all three arms were asked."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pipeline.evaluation.gap import gap_figures


def rows(arm: str, *scores: float, form: str = "f") -> list[dict[str, Any]]:
    return [
        {"arm": arm, "item_id": f"p{i}", "form": form, "contains": s, "f1": s / 2, "em": s / 4}
        for i, s in enumerate(scores)
    ]


def table(*arms: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([row for arm in arms for row in arm])


def test_the_share_is_paired_and_stands_beside_what_was_never_taught() -> None:
    answers = table(
        rows("pre_off", 0, 0, 0, 1),
        rows("post_off_heldout", 1, 0, 0, 1),
        rows("oracle_context", 1, 1, 0, 1, 1),  # the fifth was asked nowhere else
        rows("untaught_pre", 0, 0, 0, 0),
        rows("untaught", 1, 0, 0, 0),
    )
    figures = gap_figures(answers)
    assert figures["gap_closed"] == pytest.approx(0.5)
    assert figures["gap"]["contains"] == pytest.approx(
        {"pre": 0.25, "post": 0.5, "oracle": 0.75, "share": 0.5, "untaught": 0.5, "n": 4}
    )
    assert figures["gap"]["em"]["post"] == pytest.approx(0.125) and figures["gap"]["f1"]["share"] == pytest.approx(0.5)


def test_a_passage_that_is_worth_nothing_has_no_share() -> None:
    answers = table(rows("pre_off", 1), rows("post_off_heldout", 1), rows("oracle_context", 1))
    figures = gap_figures(answers)
    assert figures["gap_closed"] is None and figures["gap"]["em"]["untaught"] is None


def test_without_an_oracle_or_common_questions_there_is_no_gap() -> None:
    pre, post = rows("pre_off", 1), rows("post_off_heldout", 1)
    assert gap_figures(table(pre, post)) == {}
    assert gap_figures(table(pre, post, rows("oracle_context", 1, form="other"))) == {}
