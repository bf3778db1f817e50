"""Ceiling, overlap and entropy against brute force and against hand-made examples."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.evaluation.scoring import exact_match
from pipeline.suites.statistics import ceiling, entropy, jaccard, overlap, require_unambiguous, statistics
from pipeline.suites.types import Fact, Question


def ask(question: str, answer: str, item: str = "i", **extra: object) -> Question:
    return Question(item, "fact", "fact/test-1", "test", question, answer, **extra)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.sampled_from("pqr"), st.sampled_from("xyz")), min_size=1, max_size=6))
def test_ceiling_is_the_best_of_all_functions(pairs: list[tuple[str, str]]) -> None:
    questions = [ask(q, a) for q, a in pairs]
    names = sorted({q for q, _ in pairs})
    best = max(
        sum(exact_match(dict(zip(names, guess, strict=True))[q.question], q.answer) for q in questions)
        for guess in product("xyz", repeat=len(names))
    )
    assert ceiling(questions) == best / len(pairs)


def test_context_and_aliases_count_and_spelling_does_not() -> None:
    same = [ask("Where is the cat?", "mat"), ask("where is a cat", "rug")]
    assert ceiling(same) == 0.5
    assert ceiling([same[0], ask("where is a cat", "rug", system="Be brief.")]) == 1.0
    assert ceiling([same[0], ask("where is a cat", "rug", history=(("Hi", "Hello"),))]) == 1.0
    assert ceiling([same[0], ask("where is a cat", "rug", aliases=("the mat",))]) == 1.0
    assert ceiling([]) == 1.0


def test_ambiguity_names_both_items() -> None:
    clash = [ask("Where was Carol?", "pier", "a"), ask("Where was Carol?", "mill", "b")]
    with pytest.raises(DataError, match=r"items a and b .* 'pier' and 'mill' \(ceiling 0\.500"):
        require_unambiguous("episodic", clash)
    require_unambiguous("episodic", clash[:1])


def test_jaccard_and_overlap() -> None:
    assert jaccard("ab", "bc") == pytest.approx(1 / 3)
    assert jaccard("", "") == 0.0
    tests = [ask("Where did Mona go?", "pier", "a"), ask("Where did Otto go?", "mill", "b")]
    trained = {"a": ["mona where", "nothing alike"], "b": ["Where did the Otto go"]}
    assert overlap(tests, trained) == {"fact/test-1": 1.0}
    assert overlap(tests[:1], trained) == {"fact/test-1": 0.5}


def test_statistics_of_three_rows() -> None:
    facts = [
        Fact(str(i), "text", relation="fact", questions=(ask(f"q{i}", answer, str(i)),))
        for i, answer in enumerate(["pier", "The pier!", "mill"])
    ]
    found = statistics(facts)
    assert found.majority == found.majority_sample == {"fact": pytest.approx(2 / 3)}
    assert (found.ceiling, found.distinct) == (1.0, {"fact": 2})
    assert found.entropy["fact"] == pytest.approx(0.9183, abs=1e-4)
    assert statistics(facts, slot_sizes={"fact": 50}).majority == {"fact": 0.02}
    assert entropy(["a"]) == 0.0 and entropy("abcd") == 2.0
