"""Which uses are asked: one form a fact, claims balanced, the base a part of it, and at most a third more to ask."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.arms import USE_ARMS, Ask
from pipeline.evaluation.recall import plan_arms
from pipeline.evaluation.sanity import sanity_asks
from pipeline.evaluation.uses import one_form_each, use_asks
from pipeline.suites.episodic import build_episodic
from pipeline.suites.sanity import load_sanity
from pipeline.suites.types import NO, USES, YES, Question
from pipeline.suites.uses import form_of
from tests.evaluation.examples import NameRetriever, small_suite

SUITE = build_episodic(50, 3)
ARMS_OF_USES = {arm for arms in USE_ARMS.values() for arm in arms}


def by_arm(asks: tuple[Ask, ...]) -> dict[str, list[Question]]:
    found: dict[str, list[Question]] = {}
    for ask in asks:
        found.setdefault(ask.arm, []).append(ask.question)
    return found


def test_a_default_run_asks_one_form_of_every_fact_and_the_base_a_part_of_the_same() -> None:
    arms = by_arm(use_asks(SUITE, "default", 50, 20).asks)
    assert set(arms) == {arm for before, after, _ in USE_ARMS.values() for arm in (before, after)}
    for before, after, _ in USE_ARMS.values():
        assert Counter(q.item_id for q in arms[after]) == dict.fromkeys((f.id for f in SUITE.taught), 1)
        assert len(arms[before]) == 20 and set(arms[before]) <= set(arms[after])
    assert {q.split for some in arms.values() for q in some} == {"test"}
    golds = Counter(q.answer for q in arms["yes_no"])
    assert golds == {YES: 25, NO: 25} and Counter(q.answer for q in arms["yes_no_pre"]) == {YES: 10, NO: 10}
    assert len({form_of(q.form) for q in arms["yes_no"]}) > 8


@settings(max_examples=10, deadline=None)
@given(n=st.integers(4, 40), seed=st.integers(0, 999), items=st.integers(1, 40))
def test_claims_are_even_whatever_the_size_in_every_relation(n: int, seed: int, items: int) -> None:
    questions = by_arm(use_asks(build_episodic(n, seed), "default", items, 5).asks).get("yes_no", [])
    for some in (questions, *([q for q in questions if q.relation == r] for r in {q.relation for q in questions})):
        golds = Counter(q.answer for q in some)
        assert abs(golds[YES] - golds[NO]) <= 1


def test_full_controls_ask_every_form_before_and_after_and_the_probe_forms_after() -> None:
    arms = by_arm(use_asks(SUITE, "full", 3, 1).asks)
    assert set(arms) == ARMS_OF_USES
    for before, after, probe in USE_ARMS.values():
        assert arms[before] == arms[after] and {q.split for q in arms[after]} == {"test"}
        assert {q.split for q in arms[probe]} == {"probe"}
        assert {q.item_id for q in arms[after]} == {q.item_id for q in arms[probe]} == {f.id for f in SUITE.taught}
    golds = Counter(q.answer for q in arms["yes_no"])
    assert golds[YES] == golds[NO] == 50 * 7


def test_the_subset_hangs_on_no_order() -> None:
    turned = replace(SUITE, taught=SUITE.taught[::-1])
    for use in USES:
        arm = USE_ARMS[use][1]
        here, there = (by_arm(use_asks(suite, "default", 20, 5).asks)[arm] for suite in (SUITE, turned))
        assert {(q.item_id, form_of(q.form)) for q in here} == {(q.item_id, form_of(q.form)) for q in there}


@pytest.mark.parametrize("n", [4, 50, 200])
def test_an_examination_asks_at_most_a_third_more(n: int) -> None:
    suite = build_episodic(n, 3)
    plan = plan_arms(suite, NameRetriever(suite.taught))
    asks = [*plan.asks, *sanity_asks(load_sanity(), 150)]
    uses = [ask for ask in asks if ask.arm in ARMS_OF_USES]
    assert uses and len(uses) <= (len(asks) - len(uses)) / 3


def test_nothing_is_asked_where_nothing_is_wanted_or_can_be_read_and_a_note_says_so() -> None:
    assert use_asks(SUITE, "default", 0, 20).asks == ()
    suite = small_suite()
    own = [replace(fact, relation="fact") for fact in suite.taught[:3]]
    plan = use_asks(replace(suite, taught=(*own, *suite.taught[3:])), "default", 50, 20)
    assert len(plan.notes) == 1 and plan.notes[0].startswith("3 of 8 facts ")
    assert {f"e{i}" for i in range(3)}.isdisjoint(ask.question.item_id for ask in plan.asks)
    assert use_asks(suite, "default", 50, 20).notes == ()


def test_one_form_each_takes_one_of_each() -> None:
    questions = [Question("a", "r", f"tell/r/test-{i}", "test", f"{i}?", "x") for i in range(3)]
    assert len(one_form_each(questions, None)) == 1 and one_form_each([], 4) == []
