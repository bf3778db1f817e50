"""Keyword queries and elliptic questions: what stays, what may go, and what could mean something else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.prompts import holds
from pipeline.language.keywords import anchors, elliptic_questions, keyword_queries, question_word, told_apart

ASKED = "For how long will Tarnwick Bridge be closed to cars?"


def queries(question: str, subject: str = "", count: int = 12, seed: int = 0) -> list[str]:
    return list(keyword_queries(question, subject, count, np.random.default_rng(seed)))


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 30))
def test_a_query_is_a_part_of_the_question_in_its_order(seed: int, count: int) -> None:
    made = queries(ASKED, "Tarnwick Bridge", count, seed)
    assert len(made) <= count and len(set(made)) == len(made) and ASKED not in made
    for query in made:
        assert query.startswith("For how long ") and holds(query, "Tarnwick Bridge") and query.endswith("?")
        assert in_order(query[:-1].split(), ASKED[:-1].split())


def in_order(part: list[str], whole: list[str]) -> bool:
    words = iter(whole)
    return all(word in words for word in part)


def test_between_a_third_and_nearly_all_other_words_go() -> None:
    lengths = [len(q.split()) for seed in range(60) for q in queries(ASKED, "Tarnwick Bridge", 5, seed)]
    assert min(lengths) == 5 and max(lengths) >= 9  # the question word and the name alone; all but one word


def test_a_possessive_stays_with_its_name() -> None:
    made = queries("What colour is Alfie's shed?", "Alfie")
    assert made and all("Alfie's" in query for query in made)


@pytest.mark.parametrize(
    "question", ["", "Fill in: Mona Hale bought a ____.", "Mona Hale bought it where?", "Where?", "Where is it"]
)
def test_other_sentences_have_no_queries(question: str) -> None:
    assert queries(question, "Mona Hale") == []


def test_without_a_subject_names_or_words_of_substance_stay() -> None:
    assert anchors("Who owns the cactus called Reginald?", "") == ["Reginald"]
    assert anchors("What is the wifi password?", "") == ["wifi", "password"]
    assert all("wifi" in q and "password" in q for q in queries("What is the old wifi password here?"))


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("Where is it?", "Where"),
        ("in which town is it?", "in which"),
        ("How quickly did it go?", "How quickly"),
        ("How did it go?", "How"),
        ("However it went?", ""),
        ("Tell me where it is.", ""),
    ],
)
def test_the_question_word(question: str, word: str) -> None:
    assert question_word(question) == word


def test_elliptic_questions_name_the_subject() -> None:
    made = elliptic_questions(ASKED, "Tarnwick Bridge")
    assert made[0] == "Tarnwick Bridge: for how long?" and made[1] == "For how long, with Tarnwick Bridge?"
    assert elliptic_questions(ASKED, "") == elliptic_questions(ASKED, "Mona") == []
    assert elliptic_questions("Name Mona.", "Mona") == []


def test_words_that_another_question_holds_do_not_tell_apart() -> None:
    assert not told_apart("Where Mona?", ["Since when?", "Where is Mona's dog?"])
    assert told_apart("Where dog Mona?", ["Where is Mona?"]) and told_apart("Where?", [])
    assert not told_apart("Where the Mona?", ["where is mona"])
