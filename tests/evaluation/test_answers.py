"""The table of answers: columns, scores, order."""

from __future__ import annotations

import pyarrow as pa

from pipeline.evaluation.answers import ANSWERS_SCHEMA, score_answers
from pipeline.evaluation.arms import ARMS, Ask
from pipeline.evaluation.prompts import render
from tests.evaluation.examples import Reply, closed_book_prompt, examine, memory_prompt, small_suite

COLUMNS = [
    "arm", "item_id", "relation", "form", "split", "prompt", "answer", "gold", "aliases",
    "em", "f1", "contains", "refused", "overlong", "new_tokens",
]  # fmt: skip


def test_columns_are_the_contracts() -> None:
    assert ANSWERS_SCHEMA.names == COLUMNS
    assert examine(small_suite())[2].schema.equals(ANSWERS_SCHEMA)


def test_a_row_holds_the_answer_and_its_scores() -> None:
    question = small_suite().taught[0].questions[0]
    replies = [Reply("I don't know the harbour", 9, True)]
    row = score_answers([Ask("pre_off", question)], ["<p>"], replies).to_pylist()[0]
    assert row == {
        "arm": "pre_off", "item_id": "e0", "relation": "person_place", "form": "person_place/train-1",
        "split": "train", "prompt": "<p>", "answer": "I don't know the harbour", "gold": "harbour", "aliases": [],
        "em": 0.0, "f1": 0.4, "contains": 1.0, "refused": True, "overlong": True, "new_tokens": 9,
    }  # fmt: skip


def test_order_does_not_depend_on_the_order_of_asking() -> None:
    plan, prompts, table = examine(small_suite())
    asks = plan.asks[::-1]
    replies = {p: a for p, a in zip(table["prompt"].to_pylist(), table["answer"].to_pylist(), strict=True)}
    arms = [ask.arm for ask in asks]
    assert prompts[::-1] == render(asks, closed_book_prompt, memory_prompt)
    first = score_answers(asks, prompts[::-1], [Reply(replies[p]) for p in prompts[::-1]])
    second = score_answers(plan.asks, prompts, [Reply(replies[p]) for p in prompts])
    assert first.equals(second)
    assert list(dict.fromkeys(first["arm"].to_pylist())) == [arm for arm in ARMS if arm in arms]


def test_no_answers_are_an_empty_table() -> None:
    assert score_answers([], [], []).equals(pa.Table.from_pylist([], schema=ANSWERS_SCHEMA))
