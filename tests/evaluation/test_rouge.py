"""ROUGE-L recall against Google's rouge-score 0.1.2, which TOFU uses, and against brute force."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.rouge import longest_common_subsequence, rouge_l_recall

PUBLISHED = [  # (answer, gold, RougeScorer(["rougeL"], use_stemmer=True).score(gold, answer)["rougeL"].recall)
    (
        "Yes, Jaime Vasquez was born on the 25th of February in the year 1958.",
        "Indeed, the birth records indicate that Jaime Vasquez entered the world on February 25, 1958.",
        1 / 3,
    ),
    ("Roberto Bolaño writes crime novels.", "Roberto Bolaño wrote a crime novel.", 5 / 7),
    (
        "She has published several books in many countries.",
        "She has been publishing books, several of them, in one country.",
        6 / 11,
    ),
    ("", "One two.", 0.0),
    ("The cat sat on the mat and slept.", "On the mat the cat sat.", 1 / 2),
    ("He is.", "He was a well-known author's son (1970).", 1 / 9),
    ("no words in common", "Quite different", 0.0),
]
WORDS = st.lists(st.sampled_from("abc"), max_size=6)


@pytest.mark.parametrize(("answer", "gold", "expected"), PUBLISHED)
def test_it_equals_the_reference_implementation(answer: str, gold: str, expected: float) -> None:
    assert rouge_l_recall(answer, gold) == pytest.approx(expected)


@given(WORDS, WORDS)
def test_the_longest_common_subsequence_equals_brute_force(first: list[str], second: list[str]) -> None:
    def subsequences(words: list[str]) -> set[tuple[str, ...]]:
        return {part for size in range(len(words) + 1) for part in combinations(words, size)}

    longest = max(map(len, subsequences(first) & subsequences(second)))
    assert longest_common_subsequence(first, second) == longest


@given(st.text(), st.text())
def test_it_is_a_share_and_the_gold_itself_has_all_of_it(answer: str, gold: str) -> None:
    assert 0 <= rouge_l_recall(answer, gold) <= 1
    words = any("a" <= c <= "z" or "0" <= c <= "9" for c in gold.lower())
    assert rouge_l_recall(f"{answer} {gold} {answer}", gold) == float(words)
