"""Proof that an item was unlearned: what is asked about it, and the figures that are kept in place of its text.

Answers to these questions never reach a file. Forms that are no ``test`` forms alone decide the guard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.evaluation.arms import FORGET_ARMS, Ask, limit_forms
from pipeline.evaluation.metrics import arm_rows, mean_em
from pipeline.evaluation.prompts import leaked_answer
from pipeline.evaluation.recognition import wins
from pipeline.suites.types import Fact, Question

PREFIXES = ("Think back carefully before you answer.", "You were told this once.", "Answer in a few words, please.")
BEGUN, BEGINNING = "/begun", "The answer is"
"""Mark of forms whose reply is begun for the model, and its first words."""
KEPT_FORMS = 2  # probe questions of each neighbour


def forget_asks(
    forgotten: Sequence[Fact], backwards: Sequence[Question], kept: Sequence[Fact], go_on: bool
) -> list[Ask]:
    """Ask base and adapted model about what was forgotten, and about what is most like it.

    Args:
        forgotten: The items with their questions: each is asked as it is, after a prefix, and with its reply begun.
        backwards: Questions whose answers are the items' subjects.
        kept: Neighbours that are to stay, with their probe questions.
        go_on: Whether the night went on from an adapter, which then answers about the neighbours too.
    """
    asked = [form for fact in forgotten for i, q in enumerate(fact.questions) for form in _prefixed(q, i)]
    asked = [question for question in asked if leaked_answer(question, question.question) is None]
    near = [q for fact in kept for q in limit_forms(fact.asked("probe") or fact.asked("train"), KEPT_FORMS)]
    plan: dict[str, Sequence[Question]] = {
        "forget_pre": asked,
        "forget_post": asked,
        "forget_reversed_pre": backwards,
        "forget_reversed": backwards,
        "forget_kept": near if go_on else [],
        "forget_kept_before": near if go_on else [],
    }
    return [Ask(arm, question) for arm, questions in plan.items() for question in questions]


def _prefixed(question: Question, number: int) -> tuple[Question, ...]:
    prefix = PREFIXES[number % len(PREFIXES)]
    return (
        question,
        replace(question, question=f"{prefix} {question.question}", form=f"{question.form}/prefixed"),
        replace(question, form=question.form + BEGUN),
    )


def begun(prompt: str, question: Question) -> str:
    """The rendered prompt, with the reply begun where the form asks for that."""
    return prompt + BEGINNING if question.form.endswith(BEGUN) else prompt


def without_forgotten(answers: pa.Table) -> pa.Table:
    """The answers but for those that tell of what was forgotten."""
    return answers.filter(~pc.field("arm").isin(list(FORGET_ARMS)))


def auroc(own: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """How often the forgotten answer is likelier than a comparable one to the same question; a tie is a half.

    Args:
        own: (n,) log-probabilities of the forgotten answers.
        others: (n, k) of answers that were never seen.
    """
    return float(wins(own, others).mean())


def forget_figures(answers: pa.Table, items: int, likelihoods: dict[str, float] | None = None) -> dict[str, Any]:
    """``{target, prior, seen, reversed, reversed_prior, neighbours, refusals, n, questions}`` and ``likelihoods``.

    Args:
        answers: `pipeline.evaluation.answers.ANSWERS_SCHEMA`, with the arms of `forget_asks`.
        items: How many were forgotten.
        likelihoods: ``auroc`` after the night, ``auroc_prior`` of the base.
    """
    seen = answers.filter(pc.field("split") != "test")
    if not arm_rows(seen, "forget_post").num_rows:  # a text alone: its only forms decide
        seen = answers
    post, pre = arm_rows(answers, "forget_post"), arm_rows(answers, "forget_pre")
    found = {
        "target": mean_em(answers, "forget_post"),
        "prior": mean_em(answers, "forget_pre"),
        "seen_target": mean_em(seen, "forget_post"),
        "seen_prior": mean_em(seen, "forget_pre"),
        "reversed": mean_em(answers, "forget_reversed"),
        "reversed_prior": mean_em(answers, "forget_reversed_pre"),
        "neighbours": _change(mean_em(answers, "forget_kept"), mean_em(answers, "forget_kept_before")),
        "refusals": _change(_refused(post), _refused(pre)),
        "n": items,
        "questions": post.num_rows,
    }
    return {name: value for name, value in (found | (likelihoods or {})).items() if value is not None}


def _refused(rows: pa.Table) -> float | None:
    flags = rows.column("refused").to_pylist()
    return sum(flags) / len(flags) if flags else None


def _change(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before
