"""What is asked about a forgotten item, and what the figures say."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pipeline.config.examination import GuardsConfig
from pipeline.evaluation.answers import score_answers
from pipeline.evaluation.arms import FORGET_ARMS, Ask
from pipeline.evaluation.forgetting import auroc, begun, forget_asks, forget_figures, without_forgotten
from pipeline.evaluation.guards import guard_figures, verdicts
from pipeline.evaluation.prompts import render
from pipeline.suites.types import Question
from tests.evaluation.examples import Reply, closed_book_prompt, examine, memory_prompt, small_suite

SUITE = small_suite()
BACKWARDS = [Question("e0", "person_place", "reversed-0", "test", "Who belongs in the blank? ___ ran.", "Mona Hale")]


def answered(right: set[tuple[str, str]], change: str = "") -> pa.Table:
    """Answers of a night that is right in these (arm, split) and refuses elsewhere after it."""
    asks = forget_asks(SUITE.taught[:1], BACKWARDS, SUITE.taught[1:3], True)
    if change:
        asks = [
            replace(ask, question=replace(ask.question, answer=change)) if ask.question.split == "test" else ask
            for ask in asks
        ]
    prompts = render(asks, lambda q: begun(closed_book_prompt(q), q), memory_prompt)

    def reply(ask: Ask) -> Reply:
        if (ask.arm, ask.question.split) in right:
            return Reply(ask.question.answer)
        return Reply("I don't know." if ask.arm == "forget_post" else "Something.")

    return score_answers(asks, prompts, [reply(ask) for ask in asks])


def test_every_form_is_asked_plain_prefixed_and_begun() -> None:
    asks = [ask for ask in forget_asks(SUITE.taught[:1], [], [], False) if ask.arm == "forget_post"]
    forms = {q.form for q in SUITE.taught[0].questions}
    assert {ask.question.form for ask in asks} == {f + end for f in forms for end in ("", "/prefixed", "/begun")}
    prompts = {ask.question.form: begun(closed_book_prompt(ask.question), ask.question) for ask in asks}
    plain = prompts["person_place/train-1"]
    assert prompts["person_place/train-1/begun"] == plain + "The answer is"
    assert prompts["person_place/train-1/prefixed"].endswith("Where did Mona Hale go?<|assistant|>")
    assert prompts["person_place/train-1/prefixed"] != plain
    assert {ask.arm for ask in forget_asks(SUITE.taught[:1], [], SUITE.taught[1:], False)} == {
        "forget_pre", "forget_post",
    }  # fmt: skip


def test_figures_of_a_night_that_kept_a_part() -> None:
    found = forget_figures(answered({("forget_post", "train"), ("forget_kept_before", "probe")}), 1, {"auroc": 0.9})
    assert found["n"] == 1 and found["questions"] == 18
    assert found["target"] == pytest.approx(6 / 18) and found["seen_target"] == pytest.approx(6 / 9)
    assert found["prior"] == found["seen_prior"] == found["reversed"] == 0.0
    assert found["neighbours"] == -1.0 and found["refusals"] == pytest.approx(12 / 18) and found["auroc"] == 0.9


@pytest.mark.parametrize(
    ("right", "forgot", "kept"),
    [
        ({("forget_kept", "probe"), ("forget_kept_before", "probe")}, True, True),
        ({("forget_post", "probe")}, False, True),
        ({("forget_post", "test")}, True, True),  # reported, and decides nothing
        ({("forget_post", "train"), ("forget_pre", "train")}, True, True),  # the base says so too
        ({("forget_kept_before", "probe")}, True, False),
    ],
)
def test_guards_of_a_night_that_forgets(right: set[tuple[str, str]], forgot: bool, kept: bool) -> None:
    answers = examine(SUITE)[2]
    forget = forget_figures(answered(right), 1)
    judged = {
        verdict["name"]: verdict["passed"]
        for verdict in verdicts(guard_figures(answers, SUITE, None, 1, 1, forget), GuardsConfig())
    }
    assert (judged["forget"], judged["forget.neighbours"]) == (forgot, kept)
    usual = {v["name"] for v in verdicts(guard_figures(answers, SUITE, None, 1, 1), GuardsConfig())}
    assert usual == set(judged) - {"forget", "forget.neighbours"}


def test_no_test_answer_moves_the_guard() -> None:
    right = {("forget_post", "train"), ("forget_post", "test")}
    figures = [forget_figures(answered(right, change), 1) for change in ("", "elsewhere")]
    assert figures[0]["seen_target"] == figures[1]["seen_target"]


def test_what_was_forgotten_reaches_no_file() -> None:
    answers = pa.concat_tables([examine(SUITE)[2], answered({("forget_post", "train")})])
    kept = without_forgotten(answers)
    assert kept.num_rows == examine(SUITE)[2].num_rows and not set(kept.column("arm").to_pylist()) & set(FORGET_ARMS)


def test_auroc_counts_pairs() -> None:
    rng = random.Random(1)
    own = np.array([rng.choice([-1.0, -2.0, -3.0]) for _ in range(20)])
    others = np.array([[rng.choice([-1.0, -2.0, -3.0]) for _ in range(4)] for _ in range(20)])
    pairs = [(a > b) + 0.5 * (a == b) for a, row in zip(own, others, strict=True) for b in row]
    assert auroc(own, others) == pytest.approx(sum(pairs) / len(pairs))
    assert auroc(np.array([0.0]), np.array([[-1.0, -2.0]])) == 1.0
