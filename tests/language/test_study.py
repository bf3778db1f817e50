"""Phrasings that the base writes: asked for once per user's fact, kept only when they still ask the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pipeline.evaluation.scoring import normalise
from pipeline.language import study
from pipeline.language.generation import Generation
from pipeline.language.rows import TrainingRow
from pipeline.suites.study_forms import with_study_forms
from pipeline.suites.types import Fact, Question

ASKED = "Where did Mona Hale buy the lantern?"
TEXT = "Mona Hale bought a lantern at the harbour."
GOOD = "did Mona Hale find a lantern to buy?"


def fact(relation: str = "fact", question: str = ASKED, identity: str = "f1") -> Fact:
    questions = (Question(identity, relation, f"{relation}/train-1", "train", question, "harbour"),)
    return Fact(identity, TEXT, subject="Mona Hale", relation=relation, questions=questions)


class Base:
    """Speaks for the model: ``written`` in answer to rephrasing, ``known`` in answer to questions with the fact."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, written: str = GOOD, known: str = "The harbour.") -> None:
        self.written, self.known = written, known
        self.prompts: list[list[str]] = []
        monkeypatch.setattr(study, "kept_generations", self.generations)

    def generations(self, lm: Any, prompts: Sequence[str], *settings: Any, **options: Any) -> list[Generation]:
        self.prompts.append(list(prompts))
        reply = self.written if prompts[0].rsplit("\n", 1)[-1].startswith("In other words:") else self.known
        return [Generation(reply, 9, reply.endswith("…")) for _ in prompts]


def phase(description: str, total: int) -> Callable[[int], None]:
    return lambda count: None


def rewritten(facts: Sequence[Fact], count: int = 1) -> list[Fact]:
    return study.rewrites_by_base(None, facts, count, 8, phase)  # type: ignore[arg-type]


def test_a_good_phrasing_becomes_a_train_question(monkeypatch: pytest.MonkeyPatch) -> None:
    base = Base(monkeypatch)
    (found,) = rewritten([fact()])
    assert found.questions[:-1] == fact().questions
    added = found.questions[-1]
    assert (added.form, added.split, added.answer) == ("base-1", "train", "harbour")
    assert added.question == f"At which place {GOOD}"
    assert ASKED in base.prompts[0][0] and TEXT in base.prompts[1][0] and added.question in base.prompts[1][0]


@pytest.mark.parametrize(
    "written",
    [
        "did she find a lantern to buy?",  # the subject is gone
        "did Mona Haley find a lantern to buy?",
        "is the harbour where Mona Hale bought it?",  # the answer is there
        "did Mona Hale find a lantern to buy",  # no question
        "did Mona Hale find …",  # stopped by the limit
        "did Mona Hale's sister find a lantern to buy?",  # somebody else
        f"{'and then ' * 14} did Mona Hale buy it?",
        "",
    ],
)
def test_a_bad_phrasing_is_dropped(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    base = Base(monkeypatch, written)
    assert rewritten([fact()]) == [fact()] and len(base.prompts) == 1


def test_a_phrasing_that_the_base_does_not_answer_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    Base(monkeypatch, known="a lantern")
    assert rewritten([fact()]) == [fact()]


def test_no_phrasing_comes_twice_or_repeats_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    Base(monkeypatch)
    same = [fact(), fact(identity="f2")]
    found = rewritten(same, count=4)
    assert [len(f.questions) for f in found] == [4, 1]  # two openings and none; the fourth repeats the third
    texts = [normalise(q.question) for q in found[0].questions]
    assert len(set(texts)) == len(texts)
    Base(monkeypatch, "Where did MONA HALE buy the lantern")
    assert rewritten([fact(question=f"Say, {ASKED}")]) == [fact(question=f"Say, {ASKED}")]


def test_only_users_facts_are_rephrased(monkeypatch: pytest.MonkeyPatch) -> None:
    base = Base(monkeypatch)
    assert rewritten([fact("person_place")]) == [fact("person_place")]
    assert rewritten([fact()], count=0) == [fact()] and base.prompts == []
    bare = with_study_forms([Fact("f3", "It rained.")])
    assert rewritten(bare) == bare and base.prompts == []  # clozes are no questions to rephrase


def test_a_statement_is_rephrased_by_what_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    (bare,) = with_study_forms([Fact("f3", TEXT)])
    asked = study.questions_to_rephrase(bare, 4)
    assert [q.question for q in asked[:2]] == [ASKED, "What did Mona Hale buy at the harbour?"]
    assert asked[2] == asked[0] and study.questions_to_rephrase(bare, 0) == []


@pytest.mark.parametrize(
    ("question", "text", "survives"),
    [
        ("What is the name of Petra's boat?", "How is the boat of Petra called?", True),
        ("What is the name of Petra's boat?", "How is the boat called?", False),
        ("Which rooms did 7 people paint?", "What did 7 people paint?", True),
        ("Which rooms did 7 people paint?", "What did people paint?", False),
        ("What is the wifi password?", "Which password does the wifi have?", True),
        ("What is the wifi password?", "Which password is it?", False),
        ("Where am I at noon?", "At noon, where am I?", True),
        ("Petra left when?", "When was it?", False),
    ],
)
def test_without_a_subject_names_numbers_or_words_of_substance_stay(question: str, text: str, survives: bool) -> None:
    asked = Question("f", "fact", "fact/train-1", "train", question, "xyz")
    assert study.survives(asked, text, "") is survives


def test_prompts_differ_by_number_and_end_where_the_base_goes_on() -> None:
    prompts = [study.rephrase_prompt(ASKED, number) for number in range(4)]
    assert len(set(prompts)) == 4 and all(f"Question: {ASKED}" in prompt for prompt in prompts)
    assert prompts[0].endswith("In other words: At which place") and prompts[3].endswith("In other words:")
    assert study.opening_of("Somewhere?") == study.opening_of("Whereabouts is it?") == ""


def test_what_was_asked_and_kept_is_counted() -> None:
    rows = [
        TrainingRow("1", "question", "f1", "base-1", "train", "p", "t"),
        TrainingRow("2", "memory", "f1", "base-1", "train", "p", "t"),
        TrainingRow("3", "question", "f1", "rewrite-1", "train", "p", "t"),
    ]
    assert study.count_rewrites([fact(), fact("person_place")], rows, 2) == {"asked": 2, "kept": 1}
