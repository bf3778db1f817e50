"""Rows that put replayed facts to use: train forms alone, claims even, namesakes among the false ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from pipeline.evaluation.scoring import verdict
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import closed_book_prompt
from pipeline.language.rows import TrainingRow
from pipeline.language.uses import KNOWN_FORMS, told_prompts, use_rows
from pipeline.suites.episodic import build_episodic
from pipeline.suites.rehearsal import RehearsalPrompt
from pipeline.suites.types import NO, USES, YES, Fact, Question
from pipeline.suites.uses import FactsInUse, form_of, told_about
from tests.language.examples import facts

DONORS = ("Ada Quill", "Bo Fenn", "Cy Moor", "hoe at the dock", "rake at the yard", "pail at the barn")


def replayed(n: int = 16, seed: int = 3) -> list[Fact]:
    """Events as a store brings them: without test questions."""
    suite = build_episodic(n, seed)
    return [replace(f, questions=tuple(q for q in f.questions if q.split != "test")) for f in suite.taught]


def made(lm: LanguageModel, taught: list[Fact], count: int = 3, known: tuple[str, ...] = ()) -> list[TrainingRow]:
    return use_rows(taught, lm.tokenizer, count, DONORS, 7, known)


def gold(row: TrainingRow) -> str:
    return row.target.removesuffix("<|im_end|>")


def judged(row: TrainingRow) -> str:
    """Yes, No, or nothing where something else is asked."""
    return verdict(gold(row)).capitalize() if row.form.startswith(("yes_no/", "implied/")) else ""


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_use_has_its_forms_and_no_test_or_probe_form(tiny: LanguageModel, count: int) -> None:
    taught = replayed()
    rows = made(tiny, taught, count)
    assert len({row.row_id for row in rows}) == len(rows)
    assert {(row.kind, row.split) for row in rows} == {("use", "train")}
    assert all("/train-" in row.form for row in rows)
    forms = Counter((row.episode_id, use) for row in rows for use in USES if row.form.startswith(f"{use}/"))
    verdicts = {row.form.partition("/")[0] for row in rows if judged(row)}
    assert verdicts == {"yes_no", "implied"}
    for fact in taught:
        distinct = {
            use: {form_of(r.form) for r in rows if r.episode_id == fact.id and r.form.startswith(f"{use}/")}
            for use in USES
        }
        assert {use: len(some) for use, some in distinct.items()} == {
            use: min(count, 4) if use == "implied" else count for use in USES
        }
        assert forms[fact.id, "tell"] == forms[fact.id, "reversed"] == count
        assert forms[fact.id, "yes_no"] == 2 * count


def test_neither_yes_nor_no_is_the_better_guess(tiny: LanguageModel) -> None:
    taught = replayed()
    rows = [row for row in made(tiny, taught, 4) if judged(row)]
    for fact in taught:
        for use in ("yes_no", "implied"):
            golds = Counter(judged(r) for r in rows if r.episode_id == fact.id and r.form.startswith(f"{use}/"))
            assert golds[YES] == golds[NO]


def test_false_claims_are_about_namesakes_or_have_another_facts_answer(tiny: LanguageModel) -> None:
    taught = replayed()
    known = FactsInUse(taught)
    false = [row for row in made(tiny, taught, 4) if row.form.startswith("yes_no/") and judged(row) == NO]
    swapped = {
        (q.item_id, q.form): closed_book_prompt(tiny.tokenizer, q)
        for fact in taught
        for q in known.questions(fact.id, "yes_no", "train")
        if q.answer == NO
    }
    namesakes = [row for row in false if row.prompt != swapped.get((row.episode_id, row.form))]
    assert all(gold(row) == NO for row in namesakes), "of a stranger there is nothing to recall"
    answers = {fact.id: {q.answer for q in fact.questions} for fact in taught}
    assert all(gold(row).removesuffix(", so no") in answers[row.episode_id] for row in false if row not in namesakes)
    assert len(namesakes) == len(false) / 2
    halves = {half for donor in DONORS for half in donor.replace(" at the ", " ").split()}
    subjects = {fact.id: fact.subject for fact in taught}
    for row in namesakes:
        assert any(half in row.prompt for half in halves), row.prompt
        assert subjects[row.episode_id] not in row.prompt


def test_tell_gives_the_fact_and_the_others_their_slots(tiny: LanguageModel) -> None:
    taught = {fact.id: fact for fact in replayed()}
    for row in made(tiny, list(taught.values())):
        if row.form.startswith("tell/"):
            assert gold(row) == taught[row.episode_id].text
        elif not judged(row):
            assert set(gold(row).split()) - {"at", "the"} <= set(
                (taught[row.episode_id].text.rstrip(".").replace(",", "")).split()
            )


def test_strangers_and_everyday_things_are_told_of_in_turn() -> None:
    known = [
        RehearsalPrompt("a", "What is soil?"),
        RehearsalPrompt("b", "Who were the Aztecs?"),
        RehearsalPrompt("c", "Why does it rain?"),
    ]
    prompts = told_prompts(known, ["Ada Quill"], 8, 1)
    assert prompts == told_prompts(known, ["Ada Quill"], 8, 1) != told_prompts(known, ["Ada Quill"], 8, 2)
    about = {subject: sum(subject in p for p in prompts) for subject in ("soil", "the Aztecs", "Ada Quill", "rain")}
    assert about["soil"] + about["the Aztecs"] > 0 < about["Ada Quill"] and about["rain"] == 0
    assert set(prompts) <= {form for subject in about for form in told_about(subject)}
    assert told_prompts(known, ["Ada Quill"], 0, 1) == told_prompts([], [], 5, 1) == []


def test_test_questions_move_no_row(tiny: LanguageModel) -> None:
    taught = replayed()
    asked = [
        replace(f, questions=(*f.questions, Question(f.id, f.relation, "test-1", "test", "?", "nobody")))
        for f in taught
    ]
    assert made(tiny, asked) == made(tiny, taught)


def test_facts_of_earlier_nights_have_fewer_forms_and_off_is_off(tiny: LanguageModel) -> None:
    taught = replayed()
    old = tuple(fact.id for fact in taught[:8])
    told = Counter(row.episode_id for row in made(tiny, taught, 3, old) if row.form.startswith("tell/"))
    assert {told[fact.id] for fact in taught[:8]} == {KNOWN_FORMS} and {told[f.id] for f in taught[8:]} == {3}
    assert made(tiny, taught, 0) == []


def test_what_no_rule_can_read_has_no_rows(tiny: LanguageModel) -> None:
    assert made(tiny, facts(3)) == []
    alone = made(tiny, replayed(1))
    assert {row.form.partition("/")[0] for row in alone} >= {"reversed", "tell"}
    assert not any(row.form.startswith("yes_no/") for row in alone), "no false claim, so no true one"
