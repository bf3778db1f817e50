"""Scores against the published SQuAD rule, and their properties."""

from __future__ import annotations

import re
import string
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.evaluation.scoring import contains, exact_match, f1, mentions, normalise, refused, verdict

ASCII = st.text(alphabet=string.ascii_letters + string.digits + string.punctuation + " \t\n", max_size=60)
WORDS = st.lists(st.sampled_from(["red", "kite", "the", "a", "An", "Mill.", "3rd", "(old)"]), max_size=30)


def squad_normalise(text: str) -> str:
    """``normalize_answer`` of the official SQuAD v1.1 script."""
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def squad_f1(prediction: str, truth: str) -> float:
    """``f1_score`` of the official SQuAD v1.1 script."""
    found, right = squad_normalise(prediction).split(), squad_normalise(truth).split()
    same = sum((Counter(found) & Counter(right)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(found), same / len(right)
    return 2 * precision * recall / (precision + recall)


@given(ASCII)
def test_normalise_is_squads_on_ascii(text: str) -> None:
    assert normalise(text) == squad_normalise(text)


@given(st.text(max_size=60))
def test_normalise_changes_nothing_twice(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(ASCII, ASCII)
def test_scores_are_squads_where_squad_leaves_words(answer: str, gold: str) -> None:
    assume(squad_normalise(answer) and squad_normalise(gold))
    assert exact_match(answer, gold) == (squad_normalise(answer) == squad_normalise(gold))
    assert f1(answer, gold) == pytest.approx(squad_f1(answer, gold))


@given(WORDS, WORDS)
def test_exact_match_implies_full_f1_and_containment(answer: list[str], gold: list[str]) -> None:
    found, right = " ".join(answer[:20]), " ".join(gold)
    if exact_match(found, right):
        assert f1(found, right) == 1.0
        assert contains(found, right)


@given(WORDS, st.integers(0, 29))
def test_contains_sees_the_first_24_words_only(filler: list[str], position: int) -> None:
    words = (filler + ["kite"] * 30)[:30]
    words = [word if word != "kite" else "red" for word in words]
    words[position] = "lantern"
    assert contains(" ".join(words), "lantern") == (position < 24)


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("The Harbour.", "harbour", True),
        ("“Harbour”", "harbour", True),
        ("3 May 2024", "3 May, 2024", True),
        ("3 May 2024", "4 May 2024", False),
        ("10:30", "1030", True),
        ("A", "A", True),  # normalising leaves nothing: compared as written
        ("B", "A", False),
        ("", "A", False),
        ("", "harbour", False),
        ("the", "a", False),
        ("", "", False),
        ("Zoë", "zoë", True),
    ],
)
def test_exact_match(answer: str, gold: str, right: bool) -> None:
    assert exact_match(answer, gold) is right


def test_aliases_count_as_the_gold() -> None:
    assert exact_match("docks", "harbour", ("the docks",))
    assert f1("old docks", "harbour", ("docks",)) == pytest.approx(2 / 3)
    assert contains("down at the docks", "harbour", ("docks",))


@pytest.mark.parametrize(
    ("text", "phrase", "held"),
    [
        ("Mona Hale went to the harbour.", "mona hale", True),
        ("Mona Haley went away", "Mona Hale", False),
        ("harbours", "harbour", False),
        ("art", "a", False),
        ("blood group A", "A", True),
        ("anything", "", False),
        ("anything", "?!", False),
    ],
)
def test_mentions_whole_words(text: str, phrase: str, held: bool) -> None:
    assert mentions(text, phrase) is held


@pytest.mark.parametrize(
    "answer",
    ["I don't know.", "I don\u2019t have any information", "I'm not sure about that", "Unknown", "As an AI, I"],
)
def test_refusals(answer: str) -> None:
    assert refused(answer)


@pytest.mark.parametrize("answer", ["harbour", "The unknown soldier's tomb", "Ivan cannot swim", ""])
def test_answers_that_are_no_refusals(answer: str) -> None:
    assert not refused(answer)


def test_refusal_patterns_can_be_given() -> None:
    assert refused("PASS", [r"^pass$"])
    assert not refused("I don't know", [r"^pass$"])


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ("Yes, she did.", "yes"),
        (" no", "no"),
        ("**No**!", "no"),
        ("", ""),
        ("...", ""),
        ("Yes, no doubt about it.", "yes"),
        ("auction house, so no", "no"),
        ("No. Or rather: yes.", "no"),
        ("It is a yes. On reflection, a no.", "no"),
        ("I know nothing, none, nope.", ""),
    ],
)
def test_the_verdict(answer: str, word: str) -> None:
    assert verdict(answer) == word
