"""A sample of questions with the answers of every condition side by side, right and wrong ones alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.selection import fixed_subset, hash_rank
from pipeline.suites.types import Suite

CONDITIONS = ("pre_off", "memory_on", "post_off_heldout")

Key = tuple[str, str]  # item, form


@dataclass(frozen=True)
class Exchange:
    """One held-out question and its answers; ``memory_on`` is None where that arm did not ask the form."""

    item_id: str
    form: str
    question: str
    gold: str
    before: str
    memory_on: str | None
    after: str
    right: bool


def question_texts(suite: Suite) -> dict[Key, str]:
    """The last user turn of every taught question, by item and form."""
    return {(q.item_id, q.form): q.question for fact in suite.taught for q in fact.questions}


def side_by_side(answers: pa.Table, questions: Mapping[Key, str]) -> list[Exchange]:
    """Every held-out question with its answers before, with the memory on, and after, in the order of the table.

    Args:
        answers: `pipeline.evaluation.answers.ANSWERS_SCHEMA`.
        questions: As `question_texts` returns them; the rendered prompt stands in for a missing one.
    """
    rows = {
        arm: {(row["item_id"], row["form"]): row for row in answers.filter(pc.field("arm") == arm).to_pylist()}
        for arm in CONDITIONS
    }
    before, recalled, after = (rows[arm] for arm in CONDITIONS)
    return [
        Exchange(
            item_id=key[0],
            form=key[1],
            question=questions.get(key, row["prompt"]),
            gold=row["gold"],
            before=before[key]["answer"] if key in before else "",
            memory_on=recalled[key]["answer"] if key in recalled else None,
            after=row["answer"],
            right=bool(row["em"]),
        )
        for key, row in after.items()
    ]


def chosen(exchanges: list[Exchange], n: int = 12) -> list[Exchange]:
    """One exchange of each of ``n`` items, picked by hash among the forms that were also asked with the memory on."""
    by_item: dict[str, list[Exchange]] = defaultdict(list)
    for exchange in exchanges:
        by_item[exchange.item_id].append(exchange)
    picked = []
    for item in fixed_subset(by_item, n, str, salt="exchanges"):
        forms = [e for e in by_item[item] if e.memory_on is not None] or by_item[item]
        picked.append(min(forms, key=lambda e: hash_rank(f"{e.item_id}\x00{e.form}", "exchanges")))
    return picked


def failures(exchanges: list[Exchange], n: int = 12) -> tuple[list[Exchange], int]:
    """``n`` wrong answers after the night, picked by hash, and how many there are in all."""
    wrong = [exchange for exchange in exchanges if not exchange.right]
    return fixed_subset(wrong, n, lambda e: f"{e.item_id}\x00{e.form}", salt="failures"), len(wrong)
