"""Forms that training derives from a user's fact: enough of them, safe ones, and none that looks at a test question."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.prompts import holds, leaked_answer
from pipeline.evaluation.scoring import normalise
from pipeline.stores.episode import episode_of
from pipeline.suites.facts import suite_of_facts
from pipeline.suites.study_forms import (
    KEYWORD_FORMS,
    STATEMENT_ONLY,
    TRAIN_FORMS,
    is_derived,
    own_questions,
    with_study_forms,
)
from pipeline.suites.types import Fact, Question, Split

TEXT = "On Friday Mona Hale bought a lantern at the harbour."


def asked(question: str, answer: str, split: Split = "train", number: int = 1, item: str = "f1") -> Question:
    return Question(item, "fact", f"fact/{split}-{number}", split, question, answer)


FULL = Fact(
    "f1",
    TEXT,
    subject="Mona Hale",
    questions=(
        asked("Where did Mona Hale buy the lantern?", "harbour"),
        asked("At what place did Mona Hale shop?", "harbour", "test"),
    ),
)
BARE = Fact("f2", "Otto Lund borrowed a bread knife at the tannery on 5 May.")
SHORT = Fact("f3", "It rained on Tuesday.")
FACTS = (FULL, BARE, SHORT)


def short(fact: Fact) -> list[Question]:
    return [q for q in fact.asked("train") if q.form.startswith(("keywords-", "elliptic-"))]


def whole(fact: Fact) -> list[Question]:
    return [q for q in fact.asked("train") if q not in short(fact)]


words = st.sampled_from(
    ["Mona", "Hale", "Otto", "harbour", "bought", "a", "the", "lantern", "on", "5", "May", "?", "."]
)
texts = st.lists(words, min_size=1, max_size=9).map(" ".join)


@st.composite
def any_facts(draw: st.DrawFn) -> list[Fact]:
    facts = []
    for number in range(draw(st.integers(1, 3))):
        splits = draw(st.lists(st.sampled_from(["train", "probe", "test"]), max_size=4))
        questions = tuple(
            Question(f"f{number}", "fact", f"fact/{split}-{i}", split, f"{draw(texts)} {number} {i}?", draw(words))
            for i, split in enumerate(splits)
        )
        facts.append(
            Fact(f"f{number}", draw(texts), subject=draw(st.sampled_from(["", "Mona Hale"])), questions=questions)
        )
    return facts


def test_a_fact_gets_its_forms_and_keeps_its_own() -> None:
    (fact,) = with_study_forms([FULL])
    assert fact.questions[:2] == FULL.questions and fact.relation == "fact" and fact.statements == (TEXT,)
    assert len(whole(fact)) == TRAIN_FORMS and fact.asked("test") == FULL.asked("test")
    assert [q.form for q in whole(fact)[1:]] == [f"rewrite-{i}" for i in range(1, TRAIN_FORMS)]
    assert [q.form for q in fact.asked("probe")] == ["held-back-1", "held-back-2"]
    assert {"Fill in: On Friday Mona Hale bought a lantern at the ____."} < {q.question for q in fact.questions}


def test_a_statement_alone_is_asked_by_its_text_and_counted_apart() -> None:
    (fact,) = with_study_forms([BARE])
    assert (fact.relation, fact.subject, fact.statements) == (STATEMENT_ONLY, "Otto Lund", (BARE.text,))
    assert {q.relation for q in fact.questions} == {STATEMENT_ONLY}
    assert {q.answer for q in fact.asked("train")} == {"bread knife", "tannery", "5 May"}
    assert len(whole(fact)) == TRAIN_FORMS and len(fact.asked("probe")) == 2
    (short,) = with_study_forms([SHORT])
    assert {q.answer for q in short.asked("train")} == {"Tuesday"} and short.subject == ""


@given(facts=any_facts())
def test_no_form_is_a_test_form_or_holds_its_answer(facts: list[Fact]) -> None:
    for before, fact in zip(facts, with_study_forms(facts), strict=True):
        derived = [q for q in fact.questions if is_derived(q)]
        own = {normalise(q.question) for q in before.questions if q.split != "test"}
        keys = [normalise(q.question) for q in derived]
        assert len(set(keys)) == len(keys) and not own & set(keys)
        assert not any(leaked_answer(q, q.question) for q in derived)
        assert {q.split for q in derived} <= {"train", "probe"}
        assert len(whole(fact)) <= max(TRAIN_FORMS, len(before.asked("train")))
        assert len(short(fact)) <= KEYWORD_FORMS + len(before.asked("train")) + 4 * max(3, len(before.asked("train")))
        assert [q.question for q in fact.questions if not is_derived(q)] == [q.question for q in before.questions]
        if before.asked("probe"):
            assert len(fact.asked("probe")) == len(before.asked("probe"))


@given(facts=any_facts(), other=texts)
def test_test_questions_decide_nothing(facts: list[Fact], other: str) -> None:
    changed = [
        replace(f, questions=tuple(replace(q, question=other) if q.split == "test" else q for q in f.questions))
        for f in facts
    ]
    without = [replace(f, questions=tuple(q for q in f.questions if q.split != "test")) for f in facts]
    studied = [[q for q in fact.questions if is_derived(q)] for fact in with_study_forms(facts)]
    assert studied == [[q for q in fact.questions if is_derived(q)] for fact in with_study_forms(changed)]
    assert studied == [[q for q in fact.questions if is_derived(q)] for fact in with_study_forms(without)]


@given(facts=any_facts())
def test_deriving_twice_changes_nothing(facts: list[Fact]) -> None:
    once = with_study_forms(facts)
    assert with_study_forms(once) == once
    assert [own_questions(fact).questions for fact in with_study_forms([*once])] == [
        own_questions(fact).questions for fact in once
    ]


def test_a_fact_taught_twice_is_the_same_episode_whatever_the_seed() -> None:
    digests = [
        [episode_of(fact, source="", created=0).digest for fact in suite_of_facts(with_study_forms(FACTS), seed).taught]
        for seed in (1, 2)
    ]
    assert digests[0] == digests[1] == [episode_of(f, source="", created=0).digest for f in with_study_forms(FACTS)]


def test_a_form_that_two_facts_would_answer_differently_is_left_out() -> None:
    lantern, hat = (
        Fact(t, f"Somebody lost a {t}.", questions=(asked(f"{t[0]} lost?", t),)) for t in ("lantern", "hat")
    )
    for fact in with_study_forms([lantern, hat]):
        assert not any("Fill in" in q.question for q in fact.questions)
    assert any("Fill in" in q.question for q in with_study_forms([lantern])[0].questions)


def test_short_forms_keep_the_question_word_and_the_subject() -> None:
    for fact in with_study_forms([FULL, BARE]):
        made = short(fact)
        assert {q.form.split("-")[0] for q in made} == {"keywords", "elliptic"}
        assert all(holds(q.question, fact.subject) and not leaked_answer(q, q.question) for q in made)
    (full, _) = with_study_forms([FULL, BARE])
    assert {q.answer for q in short(full)} == {"harbour"}
    assert "Mona Hale: where?" in {q.question for q in short(full)}


def test_short_forms_that_another_question_could_mean_are_left_out() -> None:
    def living(answer: str) -> Fact:
        question = asked("Where does Mona Hale live?", answer, item="f4")
        return Fact("f4", "Mona Hale lives in Tarnwick.", subject="Mona Hale", questions=(question,))

    bought, lives = (short(fact) for fact in with_study_forms([FULL, living("Tarnwick")]))
    assert bought and lives and not any(q.form.startswith("elliptic") for q in (*bought, *lives))
    assert all({"did", "buy", "lantern"} & set(normalise(q.question).split()) for q in bought)
    assert all({"does", "live"} & set(normalise(q.question).split()) for q in lives)
    alike, _ = with_study_forms([FULL, living("harbour")])
    assert short(alike) == short(with_study_forms([FULL])[0])


@pytest.mark.parametrize(
    "text", ["", "Yesterday Vera Falk hid a ring at the mill.", "MONA", "In May Mona Hale rested."]
)
def test_a_subject_is_found_only_in_a_plain_sentence(text: str) -> None:
    assert with_study_forms([Fact("a", text)])[0].subject == ""


def test_a_subject_stays_in_every_form_that_had_it() -> None:
    (fact,) = with_study_forms([FULL])
    assert all(holds(q.question, "Mona Hale") for q in fact.questions)


def test_the_suite_counts_statements_apart_and_scores_what_the_user_asks() -> None:
    suite = suite_of_facts(FACTS, seed=3)
    assert [fact.relation for fact in suite.taught] == ["fact", STATEMENT_ONLY, STATEMENT_ONLY]
    assert any("2 of 3 facts have no train question" in note for note in suite.notes)
    assert suite.statistics.majority["fact"] == 1.0 and suite.statistics.ceiling == 1.0
    assert suite.statistics.jaccard.keys() == {"fact/test-1"}
    assert {q.item_id for q in suite.untaught} == {"f1-untaught", "f2-untaught"}
