"""Facts: unique keys, parts apart, questions without answers, gaps and rebinding as promised."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.sleepwake.facts import DIGITS, GAPS, MOST_KEYS, draw_keys, examination, part_of, recall_facts, told_in


def test_keys_are_unique_and_parts_share_none() -> None:
    validation = {fact.key for seed in range(3) for fact in recall_facts(seed, 300, "validation")}
    test = {fact.key for seed in range(3) for fact in recall_facts(seed, 300, "test")}
    train = set(draw_keys(np.random.default_rng(0), 2000, "train"))
    assert not validation & test and not train & (validation | test)
    assert len({fact.key for fact in recall_facts(0, 2000, "test")}) == 2000
    facts = examination(0, 40, "test")
    assert len({fact.key for fact in facts}) == len(facts) == 40 * 9
    assert {part_of(fact.key) for fact in facts} == {"test"}


def test_taken_keys_are_not_drawn_again_and_too_many_are_refused() -> None:
    first = draw_keys(np.random.default_rng(0), 200, "test")
    assert not set(first) & set(draw_keys(np.random.default_rng(0), 200, "test", first))
    with pytest.raises(DataError, match=f"at most {MOST_KEYS} keys"):
        draw_keys(np.random.default_rng(0), MOST_KEYS, "test", first)


def test_a_question_is_the_statement_without_its_answer() -> None:
    for fact in recall_facts(0, 200, "test"):
        assert fact.answer is not None
        assert fact.question + fact.answer == fact.statements[-1]
        assert not any(letter.isdigit() for letter in fact.question)
        assert len(fact.answer) == DIGITS + 1


def test_the_seed_and_the_session_decide() -> None:
    assert recall_facts(0, 20, "test") == recall_facts(0, 20, "test")
    others = [recall_facts(1, 20, "test"), recall_facts(0, 20, "test", session=1)]
    assert all(not {f.key for f in recall_facts(0, 20, "test")} & {f.key for f in other} for other in others)


def test_values_are_near_uniform_where_they_should_be() -> None:
    digits = Counter(fact.values[0][0] for fact in recall_facts(0, 2000, "test"))
    assert min(digits[str(digit)] for digit in range(10)) > 140
    assert len({fact.values[0] for fact in recall_facts(0, 2000, "test")}) > 1700


def test_kinds_are_told_and_asked_as_they_say() -> None:
    facts = examination(0, 20, "validation")
    kinds = {kind: [fact for fact in facts if fact.kind == kind] for kind in {fact.kind for fact in facts}}
    assert Counter(fact.asked - fact.told[0] for fact in kinds["gap"]) == dict.fromkeys(GAPS, 20)
    assert [len(kinds[kind]) for kind in ("surprising", "patterned", "interference", "unseen")] == [20] * 4
    assert {len(fact.told) for fact in [*kinds["surprising"], *kinds["patterned"]]} == {1}  # equally often
    assert all(len(set(fact.values[0])) == 1 for fact in kinds["patterned"])
    assert sum(len(set(fact.values[0])) > 1 for fact in kinds["surprising"]) >= 19
    assert all(fact.answer is None and not fact.statements for fact in kinds["unseen"])
    assert all(max(fact.told, default=0) < fact.asked for fact in facts)


def test_the_last_value_holds_and_an_old_one_intrudes() -> None:
    rebound = next(fact for fact in examination(0, 5, "test") if fact.kind == "interference")
    old, new = rebound.values
    assert old != new and rebound.answer == f"{new};"
    assert rebound.is_intruded(f"{old};") and not rebound.is_intruded(f"{new};")
    assert not recall_facts(0, 1, "test")[0].is_intruded(recall_facts(0, 1, "test")[0].answer or "")


def test_a_session_tells_what_was_promised_and_nothing_else() -> None:
    facts = examination(0, 5, "test")
    assert len(told_in(facts, 0)) == 5 * (len(GAPS) + 3)
    second = told_in(facts, 1)
    assert {fact.kind for fact, _ in second} == {"interference"}
    assert all(statement == fact.statements[1] for fact, statement in second)
    assert told_in(facts, 2) == []
