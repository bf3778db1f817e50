"""From facts to rows: which questions, which targets, and what a memory prompt teaches."""

from __future__ import annotations

import calendar
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipeline.config.language import DistilConfig
from pipeline.evaluation.prompts import holds
from pipeline.language.forms import (
    fact_rows,
    in_contexts,
    invented_answer,
    invented_subjects,
    namesake_questions,
    with_asides,
)
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import START, closed_book_prompt, memory_prompt
from pipeline.language.rows import TrainingRow
from pipeline.suites.maps import DIRECTIONS
from pipeline.suites.rehearsal import Asides, load_rehearsal
from pipeline.suites.study_forms import with_study_forms
from pipeline.suites.types import Fact, Question
from tests.language.examples import NAMES, PLACES, facts

BANK = load_rehearsal().slots
ANSWERS = ("24 March", "340 metres", "00442079460000123456789", "Mona Hale", "harbour")


def test_every_train_and_probe_question_becomes_a_row_and_no_test_question(tiny: LanguageModel) -> None:
    test = Question("f0", "person_place", "person_place/test-1", "test", "Mona Hale's shop?", "harbour")
    taught = [replace(facts(1)[0], questions=(*facts(1)[0].questions, test))]
    rows = [row for row in fact_rows(taught, tiny.tokenizer, DistilConfig(), 1, BANK) if row.kind == "question"]
    assert [row.split for row in rows] == ["train"] * 3 + ["probe"]
    assert not any("Mona Hale's" in row.prompt for row in fact_rows(taught, tiny.tokenizer, DistilConfig(), 1, BANK))
    for row, question in zip(rows, taught[0].questions, strict=False):
        assert row.row_id == f"f0/{question.form}" and row.prompt == closed_book_prompt(tiny.tokenizer, question)
        assert row.target == "harbour<|im_end|>"


@pytest.mark.parametrize("count", [0, 1, 5])
def test_statements_are_running_text(tiny: LanguageModel, count: int) -> None:
    rows = [
        r for r in fact_rows(facts(2), tiny.tokenizer, DistilConfig(statements=count), 1, BANK) if r.kind == "statement"
    ]
    assert len(rows) == 2 * min(count, 1)
    assert all((row.prompt, row.split) == (START, "train") and row.target.endswith(START) for row in rows)


def test_a_fact_without_questions_is_trained_on_its_statement_anyway(tiny: LanguageModel) -> None:
    studied = with_study_forms([Fact("a", "It rained on Tuesday.")])
    rows = fact_rows(studied, tiny.tokenizer, DistilConfig(statements=0), 1, BANK)
    assert [row.target for row in rows if row.kind == "statement"] == ["It rained on Tuesday." + START]


def memory_rows(tiny: LanguageModel, strangers: Sequence[str]) -> list[TrainingRow]:
    rows = fact_rows(facts(4), tiny.tokenizer, DistilConfig(memory_forms=12), 3, BANK, strangers)
    return [row for row in rows if row.kind == "memory"]


def test_memory_prompts_are_answered_by_their_text_even_against_the_fact(tiny: LanguageModel) -> None:
    taught, rows = facts(4), memory_rows(tiny, [])
    assert len({row.row_id for row in rows}) == len(rows) > 4 * 3
    contradicting = 0
    for row in rows:
        fact = taught[int(row.episode_id[1])]
        answer = row.target.strip()
        text = row.prompt.rsplit("Fact: ", 1)[1].split("\n")[0]
        assert holds(text, answer) and fact.subject in text
        assert row.prompt in {memory_prompt(q.question, [text]) for q in fact.asked("train")}
        assert row.target == f" {answer}\n"
        contradicting += answer != PLACES[int(row.episode_id[1])]
        assert answer == PLACES[int(row.episode_id[1])] or answer in (*BANK.thing, *BANK.place)
    assert contradicting == len(rows) - 4 * 3 > 0


def test_memory_prompts_about_strangers_belong_to_no_fact(tiny: LanguageModel) -> None:
    rows = [row for row in memory_rows(tiny, ["Ada Quill", "Bo Fenn", "lamp at the dock"]) if not row.episode_id]
    assert len(rows) > 4 and all("/stranger-" in row.row_id for row in rows)
    for row in rows:
        told, asked = row.prompt.rsplit("Fact: ", 1)[1].split("\nQ: ")
        assert holds(told, row.target.strip()) and not holds(asked, row.target.strip())
        assert any(holds(told, name) and holds(asked, name) for name in ("Ada Quill", "Bo Fenn"))
        assert not any(holds(row.prompt, fact.subject) for fact in facts(4))


def test_invented_answers_are_of_the_kind_of_the_answer() -> None:
    generator = np.random.default_rng(3)
    made = {answer: {invented_answer(BANK, answer, generator) for _ in range(40)} for answer in ANSWERS}
    assert all(len(found) > 5 for found in made.values())
    assert all(re.fullmatch(r"([1-9]|1\d|2[0-4]) [A-Z][a-z]+", found) for found in made["24 March"])
    assert {found.split()[1] for found in made["24 March"]} <= set(calendar.month_name)
    assert all(re.fullmatch(r"\d{1,3} metres", found) for found in made["340 metres"])
    assert all(re.fullmatch(r"\d{1,13}", found) for found in made["00442079460000123456789"])
    people = {(first, last) for first in BANK.first for last in BANK.last}
    assert all(tuple(found.rsplit(" ", 1)) in people for found in made["Mona Hale"])
    assert made["harbour"] <= {*BANK.thing, *BANK.place}


def test_contexts_change_neither_question_nor_answer() -> None:
    systems, turns = ["Be brief."], [("Hi", "Hello.")]
    own = replace(facts(1)[0].questions[0], system="Mine.")
    taught = [*facts(4), replace(facts(1)[0], id="own", questions=(own,))]
    placed = in_contexts(taught, systems, turns, 1.0, 5)
    seen: Counter[tuple[bool, bool]] = Counter()
    for before, after in zip(taught, placed, strict=True):
        for old, new in zip(before.questions, after.questions, strict=True):
            assert replace(new, system=old.system, history=old.history) == old
            if old.split == "probe" or old.system:
                assert new == old
            else:
                assert new.system in (None, "Be brief.") and new.history in ((), (("Hi", "Hello."),))
                seen[new.system is not None, bool(new.history)] += 1
    assert seen.total() == 12 and seen.keys() == {(True, False), (False, True), (True, True)}
    assert in_contexts(taught, systems, turns, 0.0, 5) == taught
    assert in_contexts(taught, [], [], 1.0, 5) == taught
    some = in_contexts(taught, systems, turns, 0.5, 5)
    assert some == in_contexts(taught, systems, turns, 0.5, 5) != placed


def test_asides_stand_around_a_train_question_and_leave_it_as_it_is() -> None:
    asides, taught = Asides(("Hm.",), ("Thanks!",)), facts(4)
    seen: Counter[tuple[str, str]] = Counter()
    for before, after in zip(taught, with_asides(taught, asides, 1.0, 5), strict=True):
        for old, new in zip(before.questions, after.questions, strict=True):
            assert replace(new, question=old.question) == old and old.question in new.question
            seen[old.split, new.question.replace(old.question, "_")] += 1
    assert seen.keys() == {("probe", "_"), *(("train", text) for text in ("Hm. _", "_ Thanks!", "Hm. _ Thanks!"))}
    unfinished = [
        replace(fact, questions=(replace(fact.questions[0], question="He was at ..., or"),)) for fact in taught
    ]
    texts = [fact.questions[0].question for fact in with_asides(unfinished, asides, 1.0, 5)]
    assert set(texts) <= {"He was at ..., or", "Hm. He was at ..., or"} and len(set(texts)) == 2
    assert with_asides(taught, asides, 0.0, 5) == taught
    assert with_asides(taught, asides, 0.5, 5) == with_asides(taught, asides, 0.5, 5)


def test_namesake_questions_name_nobody_who_was_taught() -> None:
    taught = facts(3)
    donors = [*NAMES, "Bo Rao", "Cy Reed"]
    pairs = namesake_questions(taught, donors, 2, 1)
    forms = Counter((fact_id, question.form) for fact_id, question in pairs)
    assert forms == {(fact.id, question.form): 2 for fact in taught for question in fact.asked("train")}
    halved = Counter(fact_id for fact_id, _ in namesake_questions(taught, donors, 0.5, 1))
    assert all(abs(halved[fact.id] - len(fact.asked("train")) / 2) < 1 for fact in taught)
    for fact_id, question in pairs:
        assert not any(holds(question.question, name) for name in NAMES)
        first, last = NAMES[int(fact_id[1])].split()
        assert holds(question.question, first) != holds(question.question, last)
    assert pairs == namesake_questions(taught, donors, 2, 1)


def test_the_last_name_changes_twice_as_often() -> None:
    pairs = namesake_questions(facts(4), ["Bo Rao", "Cy Reed"], 1, 1)
    kept_first = [holds(question.question, NAMES[int(fact_id[1])].split()[0]) for fact_id, question in pairs]
    assert len(pairs) == 12 and sum(kept_first) == 8


def test_invented_subjects_have_the_shapes_of_the_replayed() -> None:
    slots = load_rehearsal().slots
    found = invented_subjects(slots, ["Mona Hale", "ring at the mill", "Otto Lund", "Mona", ""], 5, 3)
    assert len(found) == 10 and found == invented_subjects(slots, ["Mona Hale", "ring at the mill"], 5, 3)
    for person in found[:5]:
        first, last = person.split(" ")
        assert first in slots.first and last in slots.last
    for pair in found[5:]:
        thing, place = pair.split(" at the ")
        assert thing in slots.thing and place in slots.place
    assert invented_subjects(slots, ["Mona"], 5, 3) == []


def test_ways_between_places_have_ways_as_strangers_and_directions_as_other_answers() -> None:
    subjects = ["abbey from the ford", "north of the silo"]
    ways = [s for s in invented_subjects(BANK, subjects, 20, 3) if " from the " in s]
    sides = [s for s in invented_subjects(BANK, subjects, 20, 3) if " from the " not in s]
    assert len(ways) == len(sides) == 20
    assert all(set(way.split(" from the ")) <= set(BANK.place) for way in ways)
    assert all(side.split(" of the ")[0] in DIRECTIONS and side.split(" of the ")[1] in BANK.place for side in sides)
    generator = np.random.default_rng(1)
    assert {invented_answer(BANK, "northeast", generator) for _ in range(200)} == set(DIRECTIONS)
