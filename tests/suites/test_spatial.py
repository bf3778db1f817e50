"""The spatial suite: unambiguous, prefix-stable, complete districts, and unseen pairs that are unseen."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import SuiteConfig
from pipeline.errors import DataError
from pipeline.evaluation.prompts import asked_text, holds, leaked_answer
from pipeline.evaluation.scoring import exact_match, mentions
from pipeline.suites.districts import WALKS, districts, taught_names
from pipeline.suites.phrasing import phrasing, slots_of, template_problem
from pipeline.suites.registry import build_suite
from pipeline.suites.rehearsal import load_rehearsal
from pipeline.suites.sanity import load_sanity
from pipeline.suites.spatial import SPATIAL, build_spatial
from pipeline.suites.types import Question, Suite
from pipeline.suites.unseen_pairs import UNSEEN
from pipeline.suites.vocabulary import vocabulary
from pipeline.suites.walks import RELATIONS, place_names

SEEDS = st.integers(min_value=0, max_value=2**31)
BARS = (1337, 2025, 4242)
LARGEST = 110


def every_question(suite: Suite) -> list[Question]:
    """All questions that are asked with the memory off."""
    return [*(q for f in suite.taught for q in f.questions), *suite.untaught, *suite.near_miss, *suite.unseen]


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 40))
def test_every_suite_is_answerable_and_closed_book(seed: int, n: int) -> None:
    suite = build_spatial(n, seed)
    assert suite.statistics.ceiling == 1.0
    for question in every_question(suite):
        assert leaked_answer(question, asked_text(question)) is None
    for fact in suite.taught:
        assert not any(holds(asked_text(question), fact.text) for question in fact.questions)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 30), more=st.integers(0, 30), profile=st.sampled_from(["easy", "default", "hard"]))
def test_smaller_sizes_are_prefixes(seed: int, n: int, more: int, profile: str) -> None:
    small, large = build_spatial(n, seed, profile), build_spatial(n + more, seed, profile)
    assert large.taught[:n] == small.taught
    assert large.distractors[: len(small.distractors)] == small.distractors
    for arm in ("untaught", "near_miss", "conflict", "new", "unseen"):
        assert getattr(large, arm)[: len(getattr(small, arm))] == getattr(small, arm)


def test_the_configured_suite_is_found_by_name() -> None:
    assert build_suite(SuiteConfig(name="spatial", n=10), 7) == build_spatial(10, 7)
    assert build_spatial(10, 7).taught[0] != build_spatial(10, 8).taught[0]


@pytest.mark.parametrize("seed", BARS)
def test_ten_walks_show_every_passage_of_their_district(seed: int) -> None:
    for dealt in districts(50, seed):
        walks = [block.taught for block in dealt.blocks]
        shown = {frozenset(walk.places) for walk in walks if len(walk.places) == 2}
        assert shown == {frozenset(pair) for pair in dealt.district.minutes}
        assert Counter(walk.relation for walk in walks) == {"adjacent": 3, "direction": 4, "next_step": 3}
        for walk in walks:
            details = json.loads(walk.details)
            assert dealt.district.route(walk.start, walk.goal) in (walk.places, None) or len(walk.places) == 2
            assert all(mentions(walk.text, name) for name in details["places"])


@pytest.mark.parametrize("seed", BARS)
def test_places_belong_to_one_district_and_never_to_strangers(seed: int) -> None:
    dealt, names = districts(LARGEST, seed), set(taught_names(seed))
    places = [name for d in dealt for name in d.district.cells]
    assert len(set(places)) == len(places) and set(places) <= names
    for block in (block for d in dealt for block in d.blocks):
        assert not set(block.twin.places) & names
        changed = set(block.near_miss.places) - set(block.taught.places)
        assert len(changed) <= 1 and not changed & names
        assert block.near_miss.subject != block.taught.subject
        assert block.conflict.answer != block.taught.answer


def test_names_are_apart_from_everything_else_that_is_trained_or_asked() -> None:
    names, bank = place_names(), load_rehearsal().slots
    others = [*vocabulary()["place"], *vocabulary()["thing"], *bank.place, *bank.thing]
    phrases = [phrase for q in load_sanity() for phrase in (q.subject, q.answer, *q.aliases)]
    for name in names:
        assert not any(mentions(other, name) or mentions(name, other) for other in others)
        assert not any(mentions(other, name) for other in names if other != name)
        assert not any(mentions(phrase, name) for phrase in phrases)


@pytest.mark.parametrize("seed", BARS)
def test_unseen_pairs_stand_together_in_nothing_that_is_trained(seed: int) -> None:
    suite = build_spatial(50, seed)
    trained = [q.question for f in suite.taught for q in f.questions if q.split != "test"]
    trained += [text for fact in suite.taught for text in (*fact.statements, fact.text)]
    assert {q.relation for q in suite.unseen} == set(UNSEEN) and {q.split for q in suite.unseen} == {"test"}
    for dealt in districts(50, seed):
        for start, goal in dealt.unseen:
            assert not any(mentions(text, start) and mentions(text, goal) for text in trained)


def test_unseen_pairs_of_a_district_that_is_not_whole_are_not_asked() -> None:
    whole, cut = build_spatial(20, 5), build_spatial(19, 5)
    assert len(whole.unseen) > len(cut.unseen) > 0
    assert not whole.notes and "district" in cut.notes[0]


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("seed", [*BARS, 1, 2, 3])
def test_four_test_forms_overlap_little_with_anything_trained(seed: int, relation: str) -> None:
    overlaps = build_spatial(50, seed).statistics.jaccard
    low = [form for form, value in overlaps.items() if form.startswith(f"{relation}/") and value <= 0.4]
    assert len(low) >= 4


@pytest.mark.parametrize("relation", RELATIONS)
def test_forms_of_a_relation(relation: str) -> None:
    forms = phrasing(relation, "spatial")
    every = [form for group in (*forms.train, forms.probe, forms.test) for form in group]
    assert len(forms.train) == 18 and len(forms.probe) == 3 and len(forms.test) == 8
    assert {"cloze", "request"} <= {form.style for form in forms.test}
    assert any(form.system for form in forms.test) and any(form.history for form in forms.test)
    assert all(template_problem(relation, form.template, SPATIAL) is None for form in every)
    assert len({form.name for form in every}) == len({form.template for form in every}) == len(every)
    trained = {form.system for group in forms.train for form in group} | {None}
    assert all(form.system is None or form.system not in trained for form in forms.test)
    assert "direction" not in slots_of("next_step", SPATIAL)


@pytest.mark.parametrize("seed", BARS)
def test_directions_are_near_uniform(seed: int) -> None:
    suite = build_spatial(50, seed)
    counts = Counter(f.questions[0].answer for f in suite.taught if f.relation == "direction")
    assert sum(counts.values()) == 20 and max(counts.values()) <= 5 and len(counts) >= 7
    assert suite.statistics.majority["direction"] == 1 / 8
    assert suite.statistics.majority["adjacent"] == 1 / len(taught_names(seed))


def test_controls_match_the_taught_items() -> None:
    suite = build_spatial(20, 11)
    taught = {fact.id: fact for fact in suite.taught}
    assert len(suite.untaught) == len(suite.near_miss) == 8 * 20
    assert len(suite.conflict) == len(suite.new) == 20
    for question in suite.near_miss:
        fact = taught[question.item_id.removesuffix("-near-miss")]
        assert (question.answer, question.relation) == (fact.questions[0].answer, fact.relation)
        assert question.question not in {q.question for q in fact.questions}
    for recall in suite.conflict:
        original = taught[recall.question.item_id.removesuffix("-conflict")].questions[0]
        assert holds(recall.memory, recall.question.answer) and not mentions(recall.memory, original.answer)
        assert not exact_match(recall.question.answer, original.answer, original.aliases)
    for recall in suite.new:
        assert holds(recall.memory, recall.question.answer)
        assert not any(mentions(recall.memory, name) for name in taught_names(11))


def test_profiles_differ_in_distractors_alone() -> None:
    easy, default, hard = (build_spatial(10, 3, profile) for profile in ("easy", "default", "hard"))
    assert easy.taught == default.taught == hard.taught
    assert [len(suite.distractors) for suite in (easy, default, hard)] == [0, 20, 40]
    assert not any(fact.consolidate or fact.questions for fact in hard.distractors)
    assert all(fact.kind == "spatial" for fact in (*hard.taught, *hard.distractors))


def test_own_test_forms_replace_ours(tmp_path: Path) -> None:
    path = tmp_path / "forms.jsonl"
    path.write_text('{"relation": "direction", "template": "{start} to {goal}?"}\n', encoding="utf-8")
    suite = build_spatial(10, 3, test_forms=path)
    assert all(len(f.asked("test")) == (1 if f.relation == "direction" else 8) for f in suite.taught)
    path.write_text('{"relation": "next_step", "template": "{direction} of {start}?"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="is what the question asks for"):
        build_spatial(10, 3, test_forms=path)


def test_unknown_profile_and_too_many_walks_are_data_errors() -> None:
    with pytest.raises(DataError, match="easy, default, hard"):
        build_spatial(2, 1, "brutal")
    assert len(build_spatial(LARGEST, 1).taught) == LARGEST and LARGEST % WALKS == 0
    with pytest.raises(DataError, match=r"suite\.n of at most 110"):
        build_spatial(LARGEST + 1, 1)
