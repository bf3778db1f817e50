"""The relational suite: unambiguous, prefix-stable, joins untrained, corrections newer than what they correct."""

from __future__ import annotations

import json
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import SuiteConfig
from pipeline.errors import ConfigError
from pipeline.evaluation.prompts import asked_text, holds, leaked_answer
from pipeline.evaluation.scoring import normalise
from pipeline.suites.chains import HOPS, JOINS, NEWEST, STEPS, chains, relational_vocabulary
from pipeline.suites.registry import build_suite
from pipeline.suites.relational import build_relational, relational_forms
from pipeline.suites.types import Question, Suite
from pipeline.suites.vocabulary import vocabulary

SEEDS = st.integers(min_value=0, max_value=2**31)
BARS = (1337, 2025, 4242)


def every_question(suite: Suite) -> list[Question]:
    """All questions that are asked with the memory off."""
    return [*(q for f in suite.taught for q in f.questions), *suite.untaught, *suite.near_miss]


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 20))
def test_every_suite_is_answerable_and_closed_book(seed: int, n: int) -> None:
    suite = build_relational(n, seed)
    assert suite.statistics.ceiling == 1.0
    for question in every_question(suite):
        assert leaked_answer(question, asked_text(question)) is None
    for fact in suite.taught:
        assert fact.kind == "relational"
        assert not any(holds(asked_text(question), fact.text) for question in fact.questions)


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 12), more=st.integers(0, 12))
def test_smaller_sizes_are_prefixes(seed: int, n: int, more: int) -> None:
    small, large = build_relational(n, seed), build_relational(n + more, seed)
    for arm in ("taught", "untaught", "near_miss", "conflict", "new"):
        assert getattr(large, arm)[: len(getattr(small, arm))] == getattr(small, arm)


@pytest.mark.parametrize("seed", BARS)
def test_entities_are_unique_and_outsiders_share_no_distinguishing_part(seed: int) -> None:
    dealt = chains(200, seed, 0.3)
    taught = [hop for chain in dealt for hop in chain.hops]
    outside = [hop for chain in dealt for hop in (*chain.twin, *chain.new)]
    heads = [hop.subject for hop in (*taught, *outside)]
    assert len(set(heads)) == len(heads)
    near = {hop.subject for chain in dealt for hop in chain.near_miss}
    assert not near & set(heads) and len(near) == len(taught)
    for chain in dealt:
        for hop, other in zip(chain.hops, chain.near_miss, strict=True):
            assert sum(a == b for a, b in zip(hop.head, other.head, strict=True)) == 1 and hop.tail == other.tail
    firsts = [{hop.head[0] for hop in hops if hop.relation == "person_store"} for hops in (taught, outside)]
    lasts = [{hop.head[1] for hop in hops if hop.relation == "person_store"} for hops in (taught, outside)]
    assert not firsts[0] & firsts[1] and not lasts[0] & lasts[1]


def test_nobody_in_a_chain_bears_a_name_of_the_episodic_suite() -> None:
    words = relational_vocabulary()
    assert not set(words["last"]) & {*vocabulary()["last"], *vocabulary()["first"]}
    assert all(len(set(values)) == len(values) >= 40 for values in words.values())


@pytest.mark.parametrize("seed", BARS)
def test_hops_join_and_answers_are_near_uniform(seed: int) -> None:
    dealt = chains(100, seed, 0.3)
    assert Counter(len(chain.hops) for chain in dealt) == {2: 50, 3: 50}
    for chain in dealt:
        assert [hop.relation for hop in chain.hops] == list(HOPS[: len(chain.hops)])
        assert all(one.tail == next_.subject for one, next_ in zip(chain.hops, chain.hops[1:], strict=False))
    suite = build_relational(100, seed)
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for fact in suite.taught:
        for question in fact.questions[:1]:
            answers[fact.relation][normalise(question.answer)] += 1
    assert max(answers["person_store"].values()) == max(answers["store_city"].values()) == 1
    assert max(answers["city_country"].values()) == 1  # 50 of 58 countries
    assert max(suite.statistics.majority.values()) <= 0.05


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_correction_is_newer_and_the_only_one_that_is_asked(share: float) -> None:
    suite = build_relational(20, 5, share)
    facts = {fact.id: fact for fact in suite.taught}
    before = [fact for fact in suite.taught if fact.id.endswith("-before")]
    assert len(before) == round(20 * share)
    for old in before:
        new = facts[old.id.removesuffix("-before")]
        stated, corrected = json.loads(old.details), json.loads(new.details)
        assert (stated["head"], stated["relation"]) == (corrected["head"], corrected["relation"])
        assert stated["tail"] != corrected["tail"] and stated["time"] < corrected["time"]
        assert suite.taught.index(old) < suite.taught.index(new)
        assert old.consolidate and not old.questions and not old.statements
        single = [q for q in new.questions if q.relation in HOPS]
        assert all(q.form.startswith(NEWEST) and q.answer == corrected["tail"] for q in single)
    others = [q for fact in suite.taught if f"{fact.id}-before" not in facts for q in fact.questions]
    assert not any(q.form.startswith(NEWEST) for q in others)


def test_a_join_is_never_trained_and_asks_for_the_end_of_its_chain() -> None:
    suite, dealt = build_relational(30, 9), chains(30, 9, 0.3)
    asked = [chain for chain in dealt if not chain.demonstrates]
    joins = [q for fact in suite.taught for q in fact.questions if q.relation in JOINS]
    assert len(asked) == 23 and {q.split for q in joins} == {"test"} and len(joins) == 23 * 6
    for chain in asked:
        person, end = chain.hops[0].subject, chain.hops[-1]
        own = [q for q in joins if person in q.question]
        assert len(own) == 6 and {(q.item_id, q.answer) for q in own} == {(end.id, end.tail)}
    people = [chain.hops[0].subject for chain in asked]
    trained = [(q.question, q.answer) for fact in suite.taught for q in fact.questions if q.split != "test"]
    trained += [(statement, "") for fact in suite.taught for statement in fact.statements]
    for text, answer in trained:
        pairs = ((person, chain.hops[1].tail) for person, chain in zip(people, asked, strict=True))
        assert not any(person in text and city in f"{text} {answer}" for person, city in pairs)
    mentions = [text for text, _ in trained if any(person in text for person in people)]
    assert mentions and not any("city" in text or "country" in text for text in mentions)


def test_steps_are_trained_in_some_chains_and_asked_in_the_others() -> None:
    suite, dealt = build_relational(16, 9), chains(16, 9, 0.3)
    steps = [q for fact in suite.taught for q in fact.questions if q.relation in STEPS]
    for chain in dealt:
        person = chain.hops[0].subject
        own = [q for q in steps if person in q.question]
        assert {q.split for q in own} == ({"train"} if chain.demonstrates else {"test"})
        assert {q.answer for q in own} == {", ".join(hop.tail for hop in chain.hops)}
        assert {q.item_id for q in own} == {chain.hops[0].id} and len(own) >= 6
    assert sum(chain.demonstrates for chain in dealt) == 4


@pytest.mark.parametrize("relation", HOPS)
@pytest.mark.parametrize("seed", BARS)
def test_test_forms_are_many_and_half_of_them_overlap_little_with_anything_trained(seed: int, relation: str) -> None:
    suite = build_relational(60, seed)
    low = [f for f, value in suite.statistics.jaccard.items() if f.startswith(f"{relation}/") and value <= 0.4]
    assert len(low) >= 3
    forms = relational_forms()[relation]
    assert len(forms.train) >= 6 and forms.probe and len(forms.test) >= 6
    assert {form.style for form in forms.test} == {"question", "cloze", "request"}
    assert any(form.system for form in forms.test) and any(form.history for form in forms.test)
    contexts = {form.system for group in (*forms.train, forms.probe) for form in group if form.system}
    assert not contexts & {form.system for form in forms.test}


def test_every_form_has_a_name_and_words_of_its_own() -> None:
    for relation, forms in relational_forms().items():
        every = [*(form for group in forms.train for form in group), *forms.probe, *forms.test]
        assert len({form.name for form in every}) == len(every)
        told = [(form.template, form.system, form.history) for form in every]
        assert len(set(told)) == len(told), relation


def test_controls_ask_the_same_forms() -> None:
    suite = build_relational(10, 3)
    tests = Counter((q.relation, q.form.removeprefix(NEWEST)) for f in suite.taught for q in f.asked("test"))
    assert Counter((q.relation, q.form) for q in suite.untaught) == tests
    assert Counter((q.relation, q.form) for q in suite.near_miss) == Counter(
        {key: count for key, count in tests.items() if key[0] in HOPS}
    )
    for recall in (*suite.conflict, *suite.new):
        assert holds(recall.memory, recall.question.answer)
    assert len(suite.conflict) == len(suite.new) == 10


def test_the_configuration_decides() -> None:
    suite = build_suite(SuiteConfig(name="relational", n=10, contradictions=0.0), 7)
    assert suite == build_relational(10, 7, 0.0) and not suite.notes
    assert "3 of 10 chains" in build_suite(SuiteConfig(name="relational", n=10), 7).notes[0]
    with pytest.raises(ConfigError, match=r"suite\.test_forms"):
        build_suite(SuiteConfig(name="relational", n=2, test_forms="forms.jsonl"), 7)  # type: ignore[arg-type]
