"""Rule-based rewrites: the subject stays, the answer stays out, and nothing is asked that was not asked before."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.prompts import holds
from pipeline.language.rewrites import (
    AFTER,
    BEFORE,
    BEFORE_QUESTION,
    INDIRECT,
    PAST,
    WOVEN,
    cloze_from_text,
    indirect_question,
    rewrite_question,
    statement_question,
)
from pipeline.suites.episodic import build_episodic
from pipeline.suites.events import RELATIONS
from pipeline.suites.phrasing import phrasing
from pipeline.suites.types import Question
from pipeline.suites.vocabulary import verbs

SUBJECT = "Mona Hale"
EVERY = 1000


def rewrites(question: str, subject: str = SUBJECT, count: int = EVERY, answer: str = "") -> list[str]:
    return rewrite_question(question, subject, count, np.random.default_rng(0), answer)


def shipped_questions() -> list[tuple[str, Question]]:
    """Questions in all the phrasings of the headline suite, with their subjects' names."""
    return [
        (fact.subject, question)
        for fact in build_episodic(24, 3).taught
        if fact.relation != "place_thing_person"
        for question in fact.questions
    ]


@settings(max_examples=200, deadline=None)
@given(case=st.sampled_from(shipped_questions()), count=st.integers(0, 60), seed=st.integers(0, 2**32 - 1))
def test_rewrites_keep_the_subject_and_never_hold_the_answer(case: tuple[str, Question], count: int, seed: int) -> None:
    subject, asked = case
    found = rewrite_question(asked.question, subject, count, np.random.default_rng(seed), asked.answer, asked.aliases)
    assert found == rewrite_question(
        asked.question, subject, count, np.random.default_rng(seed), asked.answer, asked.aliases
    )
    assert len(found) == len(set(found)) <= count and asked.question not in found
    assert len(found) >= min(count, 12)
    for text in found:
        assert subject in text
        assert not any(holds(text, right) for right in (asked.answer, *asked.aliases))


@given(
    question=st.text(max_size=60), subject=st.text(max_size=12), answer=st.text(max_size=12), count=st.integers(0, 80)
)
def test_any_text_is_rewritten_safely(question: str, subject: str, answer: str, count: int) -> None:
    text = f"{question} {subject}?"
    found = rewrites(text, subject, count, answer)
    assert len(found) <= count
    for rewrite in found:
        assert subject.strip() in rewrite
        assert not answer.strip() or not holds(rewrite, answer)


@settings(max_examples=100)
@given(case=st.sampled_from(shipped_questions()))
def test_every_word_of_substance_stays(case: tuple[str, Question]) -> None:
    subject, asked = case
    inflected = {word for pair in PAST.items() for word in pair} | {"did", "where"}
    words = set(re.findall(r"[\w'-]+", asked.question.lower())) - inflected
    for text in rewrites(asked.question, subject):
        assert words <= set(re.findall(r"[\w'-]+", text.lower()))


def test_a_plain_question_has_every_kind_of_rewrite() -> None:
    found = rewrites("Where did Mona Hale buy the lantern?")
    assert len(found) >= 48
    for expected in (
        "Quick question: Where did Mona Hale buy the lantern?",
        "Can you tell me: Where did Mona Hale buy the lantern?",
        "Where did Mona Hale buy the lantern? Answer in a few words.",
        "I was wondering, where did Mona Hale buy the lantern?",
        "Where, please, did Mona Hale buy the lantern?",
        "At which place did Mona Hale buy the lantern?",
        "Mona Hale bought the lantern: where?",
        "I would like to know where Mona Hale bought the lantern.",
    ):
        assert expected in found


def test_few_rewrites_are_of_different_kinds() -> None:
    for seed in range(20):
        found = rewrite_question("When did Mona Hale sell it?", SUBJECT, 5, np.random.default_rng(seed))
        woven = [text for text in found if "when did" in text]
        around = [text for text in found if "When did" in text]
        assert len(woven) == 1 and len(around) >= 3


def test_there_are_enough_frames_and_none_is_a_test_form() -> None:
    frames = (*BEFORE, *BEFORE_QUESTION, *AFTER, *WOVEN, *INDIRECT)
    assert len(set(frames)) == len(frames) >= 24
    first = {" ".join(frame.split()[:3]) for frame in frames}
    tests = {" ".join(form.template.split()[:3]) for relation in RELATIONS for form in phrasing(relation).test}
    assert not first & tests


def test_a_rewrite_that_would_hold_the_answer_is_dropped() -> None:
    assert rewrites("What did Mona Hale win at the fair?", answer="the fair") == []
    kept = rewrites("What did Mona Hale win at the fair?", answer="quiz")
    assert kept and not any("quiz" in text for text in kept)
    assert len(kept) < len(rewrites("What did Mona Hale win at the fair?"))


def test_a_cloze_is_only_introduced() -> None:
    found = rewrites("Mona Hale bought a lantern at the")
    assert all(text.endswith(("Mona Hale bought a lantern at the", "\nA:")) for text in found)
    assert len(found) == len(BEFORE)


@pytest.mark.parametrize(
    ("question", "subject", "expected"),
    [
        ("Where did Mona Hale buy the lantern?", SUBJECT, "where Mona Hale bought the lantern"),
        ("On which day did Mona Hale find it?", SUBJECT, "on which day Mona Hale found it"),
        ("When did Mona Hale found the club?", SUBJECT, "when Mona Hale founded the club"),
        ("When was Mona Hale born?", SUBJECT, "when Mona Hale was born"),
        ("What had Mona Hale lost?", SUBJECT, "what Mona Hale had lost"),
        ("Who is Mona Hale?", SUBJECT, "who Mona Hale is"),
        ("Who founded the Anchor Club?", "Anchor Club", "who founded the Anchor Club"),
        ("Who owns the Anchor Club?", "Anchor Club", None),
        ("Where is Mona Hale's lantern?", SUBJECT, None),
        ("Where did Mona Hale and Bo Reed meet?", SUBJECT, None),
        ("Where did Mona Hale zorb?", SUBJECT, None),
        ("Where did the cat of Mona Hale sleep?", SUBJECT, None),
        ("Where did Mona Hale buy it? Was it cheap?", SUBJECT, None),
        ("Where did Mona Hales buy it?", SUBJECT, None),
        ("Where did Mona Hale buy it?", "", None),
        ("Mona Hale bought what?", SUBJECT, None),
    ],
)
def test_indirect_questions(question: str, subject: str, expected: str | None) -> None:
    assert indirect_question(question, subject) == expected


@pytest.mark.parametrize("subject", ["Where Else", "The Anchor"])
def test_a_name_at_the_start_keeps_its_capital(subject: str) -> None:
    assert all(subject in text for text in rewrites(f"{subject} was built in which year?", subject))


def test_motion_and_stranded_prepositions_are_left_alone() -> None:
    assert not any("which place" in text for text in rewrites("Where did Mona Hale send the letter?"))
    assert not any(text.endswith(": where?") for text in rewrites("Where did Mona Hale get the letter from?"))


def test_the_verbs_of_the_headline_suite_are_inflected_alike() -> None:
    assert {verb.base: verb.past for verb in verbs()}.items() <= PAST.items()


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("Mona Hale bought a lantern.", "lantern", "Fill in: Mona Hale bought a ____."),
        ("A Lantern hangs there.", "lantern", "Fill in: A ____ hangs there."),
        ("A lantern beside a lantern.", "lantern", None),
        ("Two lanterns.", "lantern", None),
        ("Lantern.", "lantern", None),
        ("The lantern.", "lantern", None),
        ("Snow-globe or snow globe?", "snow globe", None),
        ("Mona Hale bought a lantern.", "", None),
        ("It cost $5 (net).", "$5 (net)", "Fill in: It cost ____."),
    ],
)
def test_cloze_from_text(text: str, answer: str, expected: str | None) -> None:
    assert cloze_from_text(text, answer) == expected


@given(before=st.text(max_size=20), answer=st.text(min_size=1, max_size=10), after=st.text(max_size=20))
def test_a_cloze_never_holds_its_answer(before: str, answer: str, after: str) -> None:
    text = f"{before} {answer} {after}"
    cloze = cloze_from_text(text, answer)
    if cloze is not None:
        assert not holds(cloze.removeprefix("Fill in: "), answer.strip())
        blank = cloze.removeprefix("Fill in: ").split("____")
        assert text.strip().startswith(blank[0]) and text.strip().endswith(blank[-1])


def test_a_plain_statement_answers_three_questions() -> None:
    expected = [
        ("What did Mona Hale buy at the harbour on Friday?", "lantern"),
        ("Where did Mona Hale buy the lantern on Friday?", "harbour"),
        ("When did Mona Hale buy the lantern at the harbour?", "Friday"),
    ]
    assert statement_question("On Friday Mona Hale bought a lantern at the harbour.", SUBJECT) == expected
    assert statement_question("On Friday, Mona Hale bought a lantern at the harbour.", SUBJECT) == expected
    assert statement_question("Mona Hale bought the lantern at the harbour on Friday.", SUBJECT) == expected
    assert statement_question("Mona Hale repaired a copper kettle at the tram depot.", SUBJECT) == [
        ("What did Mona Hale repair at the tram depot?", "copper kettle"),
        ("Where did Mona Hale repair the copper kettle?", "tram depot"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Mona Hale zorbed a lantern at the harbour.",
        "Mona Hale bought a lantern.",
        "Mona Hale bought a friend dinner at the harbour.",
        "Mona Hale bought a lantern yesterday at the harbour.",
        "Mona Hale sold a lantern at the weekend.",
        "Mona Hale found a lantern lying at the harbour.",
        "Mona Hale bought a lantern and a rope at the harbour.",
        "Mona Hale bought a lantern at the harbour. It was red.",
        "Bo Reed told us that Mona Hale bought a lantern at the harbour.",
        "On Friday Mona Hale bought a lantern at the harbour on Saturday.",
    ],
)
def test_any_other_statement_is_skipped(text: str) -> None:
    assert statement_question(text, SUBJECT) == []


def test_statements_of_the_headline_suite_are_read_back() -> None:
    read = 0
    for fact in build_episodic(40, 1).taught:
        if fact.relation == "place_thing_person":
            continue
        for question, answer in statement_question(fact.text, fact.subject):
            assert fact.subject in question and holds(fact.text, answer) and not holds(question, answer)
            read += 1
    assert read >= 15
