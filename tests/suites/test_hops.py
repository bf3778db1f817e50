"""Composed questions taken apart: what they name is read back, and their single questions are worded like no form."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.evaluation.prompts import asked_text, holds
from pipeline.suites.chains import JOINS, chains
from pipeline.suites.hops import CHAINED, WALK, WAY, hops_of, slots_of, wordings
from pipeline.suites.phrasing import phrasing
from pipeline.suites.relational import build_relational
from pipeline.suites.spatial import build_spatial
from pipeline.suites.types import Fact, Question

SEEDS = st.integers(min_value=0, max_value=2**31)
SUITES = {"adjacent": "spatial", "direction": "spatial"}


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS)
def test_a_join_comes_to_the_questions_about_the_facts_of_its_chain(seed: int) -> None:
    suite, dealt = build_relational(8, seed), {c.hops[-1].id: c for c in chains(8, seed, 0.3)}
    joins = [q for fact in suite.taught for q in fact.questions if q.relation in JOINS]
    assert joins
    for join in joins:
        chain, hops = dealt[join.item_id], hops_of(join)
        assert [hop.relation for hop in hops] == [hop.relation for hop in chain.hops]
        tails = ["", *(hop.tail for hop in chain.hops)]
        asked = [hop.ask(before) for hop, before in zip(hops, tails, strict=False)]
        assert [single.subject for single in asked] == [hop.subject for hop in chain.hops]
        assert chain.hops[0].thing in asked[0].text and all(holds(single.text, single.subject) for single in asked)
        assert not any(holds(single.text, hop.tail) for single, hop in zip(asked, chain.hops, strict=True))


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS)
def test_a_walk_comes_to_its_two_steps_and_a_way_to_its_ends(seed: int) -> None:
    suite = build_spatial(20, seed)
    known = {(fact.relation, fact.subject): fact.questions[0].answer for fact in suite.taught}
    for question in suite.unseen:
        if question.relation == WALK:
            first, second = hops_of(question)
            there = known["adjacent", first.ask().subject]
            assert known["adjacent", second.ask(there).subject] == question.answer
        elif question.relation == WAY:
            told = slots_of(question)
            assert f"unseen/{told['start']}/{told['goal']}" == question.item_id


def test_every_form_of_a_composed_question_has_a_wording_of_its_own() -> None:
    suite = build_relational(6, 3)
    joins = [q for fact in suite.taught for q in fact.questions if q.relation in JOINS]
    for item in {q.item_id for q in joins}:
        forms = [q for q in joins if q.item_id == item]
        for hop in range(len(hops_of(forms[0]))):
            assert len({hops_of(q)[hop].ask("Somewhere").text for q in forms}) == len(forms) == 6


@pytest.mark.parametrize("relation", sorted(wordings()))
def test_single_questions_are_worded_like_no_train_probe_or_test_form(relation: str) -> None:
    forms = phrasing(relation, SUITES.get(relation, "relational"))
    every = [form.template for group in (*forms.train, forms.probe, forms.test) for form in group]
    words = {" ".join(template.lower().split()) for template in every}
    assert len(every) > 100 and len(set(wordings()[relation])) == len(wordings()[relation])
    assert not words & {" ".join(template.lower().split()) for template in wordings()[relation]}


def test_what_has_no_hops_is_refused() -> None:
    suite = build_relational(4, 3)
    join = next(q for fact in suite.taught for q in fact.questions if q.relation in CHAINED)
    single = suite.taught[0].questions[0]
    for question in (single, replace(join, question="Where?"), replace(join, form="join_city/test-77")):
        with pytest.raises(DataError, match="hops"):
            hops_of(replace(question, relation=join.relation))
    with pytest.raises(DataError, match="hops"):
        slots_of(single)


def trained_texts(fact: Fact) -> list[str]:
    """All that a night may train on a fact, each beside its answer."""
    asked: list[Question] = [q for q in fact.questions if q.split != "test"]
    return [fact.text, *fact.statements, *(f"{asked_text(q)}\n{q.answer}" for q in asked)]


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, n=st.integers(4, 16))
def test_the_ends_of_a_chain_that_is_asked_stand_together_in_nothing_that_is_trained(seed: int, n: int) -> None:
    suite = build_relational(n, seed)
    texts = [text for fact in suite.taught for text in trained_texts(fact)]
    for chain in chains(n, seed, 0.3):
        names = [chain.hops[0].subject, *(hop.tail for hop in chain.hops)]
        apart = [(a, b) for i, a in enumerate(names) for b in names[i + 2 :]]
        assert len(apart) == (1 if len(names) == 3 else 3)
        together = any(holds(text, a) and holds(text, b) for text in texts for a, b in apart)
        assert together is chain.demonstrates  # the others are asked


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS, districts=st.integers(1, 4))
def test_unseen_pairs_stand_together_in_nothing_that_is_trained(seed: int, districts: int) -> None:
    suite = build_spatial(10 * districts, seed)
    texts = [text for fact in suite.taught for text in trained_texts(fact)]
    pairs = {(told["start"], told["goal"]) for q in suite.unseen if q.relation == WAY for told in [slots_of(q)]}
    ends = {(slots_of(q)["start"], q.answer) for q in suite.unseen if q.relation == WALK}
    assert len(pairs) >= 2 * districts and ends <= pairs
    assert not any(holds(text, a) and holds(text, b) for text in texts for a, b in pairs)
