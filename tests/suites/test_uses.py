"""Facts put to use: every form apart, claims that are true and false by turns, nothing that is ambiguous or leaks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.prompts import holds
from pipeline.evaluation.scoring import normalise
from pipeline.suites.chains import HOPS
from pipeline.suites.episodic import build_episodic
from pipeline.suites.events import RELATIONS
from pipeline.suites.phrasing import phrasings
from pipeline.suites.relational import build_relational, relational_forms
from pipeline.suites.rows import Row
from pipeline.suites.spatial import SPATIAL, build_spatial
from pipeline.suites.statistics import ceiling, rendering
from pipeline.suites.triples import _fact, relations, suite_of_triples
from pipeline.suites.types import NO, USES, YES, Fact, Split, Suite, Use
from pipeline.suites.uses import FactsInUse, asked_slot, form_of, relations_with_uses, told_slots, use_forms

SPLITS: tuple[Split, ...] = ("train", "probe", "test")
OBJECTS = ("dentist", "beekeeper", "plumber")


def triples() -> Suite:
    """Three triples of every relation."""
    facts: list[Fact] = []
    for relation in relations():
        for value in OBJECTS:
            number = len(facts)
            name = f"Ada{chr(97 + number // 10)}{chr(97 + number % 10)}"
            facts.append(_fact(Row(Path(), number, {}), name, relation, value))
    return suite_of_triples(facts, 1)


SUITES = {
    "episodic": build_episodic(24, 5),
    "relational": build_relational(8, 5),
    "spatial": build_spatial(20, 5),
    "triples": triples(),
}


def words(template: str) -> str:
    """A template as `normalise` sees it, without the names of its slots."""
    return normalise("".join("#" if c in "{}" else c for c in template))


@pytest.mark.parametrize("relation", relations_with_uses())
@pytest.mark.parametrize("use", USES)
def test_no_template_stands_in_two_splits(use: Use, relation: str) -> None:
    by_split = {split: {words(form.template) for form in use_forms(use, relation, split)} for split in SPLITS}
    assert all(by_split.values())
    for one, other in combinations(SPLITS, 2):
        assert not by_split[one] & by_split[other]
    names = [form.name for split in SPLITS for form in use_forms(use, relation, split)]
    assert len(set(names)) == len(names)


def test_test_forms_are_no_ordinary_trained_forms_and_the_other_way_round() -> None:
    ordinary = [*phrasings().values(), *relational_forms().values(), *phrasings(None, SPATIAL).values()]
    trained = {words(f.template) for p in ordinary for f in (*(f for g in p.train for f in g), *p.probe)}
    tested = {words(form.template) for p in ordinary for form in p.test}
    for relation in relations().values():
        trained |= {words(row["question"]) for row in (*relation["train"], *relation["probe"])}
        tested |= {words(row["question"]) for row in relation["test"]}
    for relation in relations_with_uses():
        for use in USES:
            assert not {words(form.template) for form in use_forms(use, relation, "test")} & trained
            seen = {words(f.template) for split in ("train", "probe") for f in use_forms(use, relation, split)}  # type: ignore[arg-type]
            assert not seen & tested


@pytest.mark.parametrize("name", SUITES)
@pytest.mark.parametrize("split", SPLITS)
def test_claims_are_true_and_false_by_turns_and_no_false_one_is_right(name: str, split: Split) -> None:
    suite = SUITES[name]
    known = FactsInUse(suite.taught, suite.distractors)
    facts = {fact.id: fact for fact in suite.taught}
    claims = 0
    for fact_id, scene in known.scenes.items():
        questions = known.questions(fact_id, "yes_no", split)
        assert [q.answer for q in questions] == [YES, NO] * (len(questions) // 2) and questions
        right = scene.slots[asked_slot(scene.relation)]
        values = {other.slots[asked_slot(other.relation)] for other in known.scenes.values()} - {right}
        for true, false in zip(questions[::2], questions[1::2], strict=True):
            claims += 1
            assert form_of(true.form) == form_of(false.form) and true.form != false.form
            assert holds(true.question, right) and not holds(false.question, right)
            assert any(holds(false.question, value) for value in values)
            assert not any(holds(q.question, facts[fact_id].text) for q in (true, false))
    assert claims


@pytest.mark.parametrize("name", SUITES)
def test_a_perfect_memory_answers_all_and_no_open_question_holds_its_answer(name: str) -> None:
    suite = SUITES[name]
    known = FactsInUse(suite.taught, suite.distractors)
    asked = [q for fact in known.scenes for use in USES for s in SPLITS for q in known.questions(fact, use, s)]
    assert ceiling(asked) == 1.0
    for question in asked:
        assert "{" not in question.question and question.question[0] == question.question[0].upper()
        if question.answer not in (YES, NO):
            assert not any(holds(question.question, right) for right in (question.answer, *question.aliases))
    assert {q.form.partition("/")[0] for q in asked} == set(USES)
    assert known.left_out == (sum(f.relation != "direction" for f in suite.taught) if name == "spatial" else 0)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 40))
def test_every_event_of_any_seed_can_be_put_to_every_use(seed: int, n: int) -> None:
    suite = build_episodic(n, seed)
    known = FactsInUse(suite.taught, suite.distractors)
    relations = Counter(fact.relation for fact in suite.taught)
    for fact in suite.taught:
        for use in ("reversed", "tell"):
            assert known.questions(fact.id, use, "test")  # type: ignore[arg-type]
        assert bool(known.questions(fact.id, "yes_no", "test")) == (relations[fact.relation] > 1)


def test_what_two_facts_share_is_not_asked() -> None:
    suite = SUITES["episodic"]
    fact = next(f for f in suite.taught if f.relation == "person_place")
    other = replace(
        suite.taught[0], id="other", relation="person_place", text=fact.text.replace(fact.subject, "Bo Rao")
    )
    alone, both = FactsInUse([fact]), FactsInUse([fact, other])
    assert alone.questions(fact.id, "reversed", "test") and not both.questions(fact.id, "reversed", "test")
    assert not FactsInUse([fact], [other]).questions(fact.id, "reversed", "test"), "a stored fact beside it counts too"
    assert both.questions(fact.id, "tell", "test"), "the two are about different people"
    again = replace(other, text=fact.text.replace(" a ", " a heavy ").replace(" an ", " a heavy "))
    assert not FactsInUse([fact, again]).questions(fact.id, "tell", "test"), "one person, two facts"
    assert not alone.questions(fact.id, "yes_no", "test"), "no other answer can be wrong"


def test_a_users_facts_and_corrected_statements_are_left_out() -> None:
    suite = SUITES["episodic"]
    own = replace(suite.taught[0], id="own", relation="fact")
    untold = replace(suite.taught[1], questions=())
    known = FactsInUse([*suite.taught[2:], own, untold])
    assert known.left_out == 1 and {"own", untold.id}.isdisjoint(known.scenes)
    assert known.questions("own", "tell", "test") == []


def test_implications_follow_from_the_fact() -> None:
    known = FactsInUse(SUITES["spatial"].taught)
    back = {"north": "south", "northeast": "southwest", "east": "west", "southeast": "northwest"}
    back |= {there: here for here, there in back.items()}
    for fact, scene in known.scenes.items():
        assert {q.answer for q in known.questions(fact, "implied", "test")} == {back[scene.slots["direction"]]}
    events = FactsInUse(SUITES["episodic"].taught)
    days = {fact: scene for fact, scene in events.scenes.items() if scene.relation == "person_day"}
    for fact, scene in days.items():
        assert {q.answer for q in events.questions(fact, "implied", "test")} == {scene.slots["day"].split()[1]}


def test_every_relation_is_known_and_its_slots_exist() -> None:
    triple_names = {fact.relation for fact in SUITES["triples"].taught}
    assert set(relations_with_uses()) == {*RELATIONS, *HOPS, "direction", *triple_names}
    for suite in SUITES.values():
        for scene in FactsInUse(suite.taught).scenes.values():
            assert {asked_slot(scene.relation), *told_slots(scene.relation)} <= scene.slots.keys()


def test_the_questions_of_a_seed_are_the_same_again() -> None:
    suite = SUITES["episodic"]
    made = [[rendering(q) for f in suite.taught for q in FactsInUse(suite.taught).questions(f.id, "yes_no", "test")]]
    turned = FactsInUse(suite.taught[::-1])
    assert made[0] == [rendering(q) for f in suite.taught for q in turned.questions(f.id, "yes_no", "test")]
