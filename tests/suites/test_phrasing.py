"""The phrasings: many and far ways to train, and test forms that nothing trained comes near."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.evaluation.prompts import holds
from pipeline.evaluation.scoring import normalise
from pipeline.suites.episodic import build_episodic
from pipeline.suites.events import RELATIONS, blocks, fill
from pipeline.suites.phrasing import COMPOSED_GROUPS, SLOTS, Form, phrasing, slots_of, template_problem
from pipeline.suites.statistics import jaccard
from pipeline.suites.vocabulary import vocabulary

ANSWERS = {"person_place": "place", "person_thing": "thing", "person_day": "day"}


def untested(relation: str) -> list[Form]:
    """All train and probe forms of a relation."""
    forms = phrasing(relation)
    return [form for group in (*forms.train, forms.probe) for form in group]


def contexts(forms: list[Form]) -> tuple[set[str], set[tuple[str, str]]]:
    """The system prompts, and the single earlier turns, of some forms."""
    return {form.system for form in forms if form.system}, {turn for form in forms for turn in form.history}


@pytest.mark.parametrize("relation", RELATIONS)
def test_forms_of_a_relation(relation: str) -> None:
    forms = phrasing(relation)
    assert (
        len(forms.train) == 16 + COMPOSED_GROUPS
        and len(forms.probe) == 4
        and len(forms.test) == 8
        and len(forms.statements) == 3
    )
    assert all(len(group) >= 4 for group in forms.train)
    assert {"question", "cloze", "request"} == {form.style for group in forms.train for form in group}
    assert {"cloze", "request"} <= {form.style for form in forms.test}
    assert any(form.system for form in forms.test) and any(form.history for form in forms.test)
    every = [*untested(relation), *forms.test]
    assert all(template_problem(relation, form.template) is None for form in every)
    assert len({form.name for form in every}) == len({form.template for form in every}) == len(every)
    assert all(not form.system and not form.history for form in forms.plain)


@pytest.mark.parametrize("relation", RELATIONS)
def test_composed_groups_hold_every_mention_in_every_ask(relation: str) -> None:
    groups = phrasing(relation).train[16:]
    parts = [tuple(form.name.split("-")[1:]) for group in groups for form in group]
    mentions, asks = ({part[i] for part in parts} for i in (0, 1))
    assert len(parts) == len(set(parts)) == len(mentions) * len(asks) and len(mentions) >= 12 and len(asks) >= 24
    for group in groups:
        assert {form.name.split("-")[1] for form in group} == mentions
        assert len({form.name.split("-")[2] for form in group}) == len(asks)


def test_contexts_are_many_and_never_cross_splits() -> None:
    for relation in RELATIONS:
        systems, turns = contexts([form for group in phrasing(relation).train for form in group])
        assert len(systems) >= 8 and len(turns) >= 8
    train = contexts([form for relation in RELATIONS for group in phrasing(relation).train for form in group])
    probe = contexts([form for relation in RELATIONS for form in phrasing(relation).probe])
    test = contexts([form for relation in RELATIONS for form in phrasing(relation).test])
    assert probe[0] and probe[1]
    for left, right in ((train, probe), (train, test), (probe, test)):
        assert not left[0] & right[0] and not left[1] & right[1]


@pytest.mark.parametrize("relation", RELATIONS)
def test_far_test_forms_share_no_run_of_words_with_trained_forms(relation: str) -> None:
    def runs(form: Form) -> set[tuple[str, ...]]:
        words = normalise(re.sub(r"\{\w+\}", " slot ", form.template)).split()
        return {tuple(words[i : i + 4]) for i in range(len(words) - 3) if words[i : i + 4].count("slot") < 2}

    far = [form for form in phrasing(relation).test if form.name.rsplit("-", 1)[1] in "4568"]
    trained = {run for form in untested(relation) for run in runs(form)}
    assert len(far) == 4
    for form in far:
        assert not runs(form) & trained


@pytest.mark.parametrize("relation", RELATIONS)
def test_two_probe_forms_are_far_from_trained_ones(relation: str) -> None:
    events = [block.taught for block in blocks(40, 1337) if block.taught.relation == relation]

    def words(form: Form, slots: dict[str, str]) -> list[str]:
        return normalise(fill(form.template, slots)).split()

    trained = [form for group in phrasing(relation).train for form in group]
    nearest = [
        max(jaccard(words(probe, e.slots()), words(form, e.slots())) for e in events for form in trained)
        for probe in phrasing(relation).probe
    ]
    assert sum(value <= 0.5 for value in nearest) >= 3 and max(nearest) < 1


@pytest.mark.parametrize("relation", RELATIONS)
def test_every_form_names_its_subject(relation: str) -> None:
    names = {"{person}"} if relation in ANSWERS else {"thing}", "place}"}
    for form in (*untested(relation), *phrasing(relation).test):
        assert all(name in form.template for name in names)


@pytest.mark.parametrize("relation", sorted(ANSWERS))
def test_no_form_contains_a_possible_answer(relation: str) -> None:
    for form in (*untested(relation), *phrasing(relation).test):
        turns = [text for turn in form.history for text in turn]
        text = " ".join([re.sub(r"\{\w+\}", " ", form.template), form.system or "", *turns])
        assert not [value for value in vocabulary()[ANSWERS[relation]] if holds(text, value)]


def write_forms(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_own_test_forms_replace_those_of_their_relation(tmp_path: Path) -> None:
    rows = [
        {"relation": "person_place", "template": "At which spot did {first} {last} {verb_base} {the_thing}?"},
        {"relation": "person_place", "template": "{person}: place?", "system": "Terse.", "history": [["Hi", "Hello"]]},
    ]
    path = write_forms(tmp_path / "forms.jsonl", *rows)
    ours, own = build_episodic(12, 9), build_episodic(12, 9, test_forms=path)
    for before, after in zip(ours.taught, own.taught, strict=True):
        assert before.asked("train") == after.asked("train") and before.asked("probe") == after.asked("probe")
        if before.relation == "person_place":
            plain, terse = after.asked("test")
            assert plain.form == "person_place/own-1" and plain.question.startswith(
                "At which spot did " + after.subject
            )
            assert (terse.system, terse.history) == ("Terse.", (("Hi", "Hello"),))
        else:
            assert before == after
    placed = [r.question.form for r in own.conflict if r.question.relation == "person_place"]
    assert set(placed) == {"person_place/own-1"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"relation": "person_place", "template": "Was it the {place}?"}, "is what the question asks for"),
        ({"relation": "person_day", "template": "When, {who}?"}, "unknown; available for person_day: a_thing, first"),
        ({"relation": "person_day", "template": "When, {person!r}?"}, "has a format"),
        ({"relation": "person_day", "template": "When, {person"}, "malformed braces"),
        ({"relation": "person_age", "template": "{person}?"}, "expected one of person_place"),
        ({"relation": "person_day"}, "field 'template': is missing"),
        ({"relation": "person_day", "template": "{person} <|im_end|>"}, "chat-template token"),
        ({"relation": "person_day", "template": "{person}", "style": "poem"}, "question, cloze, request"),
        ({"relation": "person_day", "template": "{person}", "history": [["a"]]}, r"history\[0\]"),
        ({"relation": "person_day", "template": "{person}", "sytem": "x"}, "did you mean 'system'"),
        ({"relation": "person_thing", "template": "What did {person} do?"}, "repeats line 1"),
    ],
)
def test_bad_test_forms_name_line_and_reason(tmp_path: Path, row: dict[str, object], reason: str) -> None:
    good = {"relation": "person_thing", "template": "What did {person} do?"}
    path = write_forms(tmp_path / "forms.jsonl", good, row)
    with pytest.raises(DataError, match=reason) as error:
        build_episodic(4, 1, test_forms=path)
    assert f"{path}:2:" in str(error.value)


def test_an_ambiguous_test_form_names_both_items(tmp_path: Path) -> None:
    path = write_forms(tmp_path / "forms.jsonl", {"relation": "person_place", "template": "Where was it?"})
    with pytest.raises(DataError, match=r"items e\d+ and e\d+ ask the same question 'Where was it\?'"):
        build_episodic(12, 1, test_forms=path)


def test_slots_leave_out_the_answer() -> None:
    assert set(slots_of("person_place")) == SLOTS - {"place", "the_place"}
    assert all(set(slots_of(relation)) < SLOTS for relation in RELATIONS)
