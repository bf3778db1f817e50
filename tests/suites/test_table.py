"""Suites survive Arrow and Parquet unchanged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ArtifactError
from pipeline.suites.episodic import build_episodic
from pipeline.suites.table import facts_of, facts_table, questions_of, questions_table, suite_of, suite_tables
from pipeline.suites.types import Choice, Fact, Question

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
TURNS = st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple)
QUESTIONS = st.builds(
    Question,
    item_id=st.just("a"),
    relation=TEXT,
    form=TEXT,
    split=st.sampled_from(["train", "probe", "test"]),
    question=TEXT,
    answer=TEXT,
    aliases=st.lists(TEXT, max_size=2).map(tuple),
    style=st.sampled_from(["question", "cloze"]),
    system=st.none() | TEXT,
    history=TURNS,
)


@settings(max_examples=40, deadline=None)
@given(asked=st.lists(QUESTIONS, max_size=4).map(tuple), text=TEXT, flag=st.booleans())
def test_facts_and_questions_round_trip(asked: tuple[Question, ...], text: str, flag: bool) -> None:
    fact = Fact("a", text, subject=text, reward=flag, consolidate=not flag, statements=(text,), questions=asked)
    assert questions_of(questions_table(asked)) == asked
    assert facts_of(facts_table([fact]), questions_table(asked)) == (fact,)


def test_a_suite_round_trips_through_parquet(tmp_path: Path) -> None:
    suite = build_episodic(6, 3)
    for name, table in suite_tables(suite).items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    assert (
        suite_of({name: pq.read_table(tmp_path / f"{name}.parquet") for name in ("facts", "questions", "suite")})
        == suite
    )


def test_choices_and_facts_of_the_world_come_back_in_their_order() -> None:
    asked = [replace(q, item_id=f"c{i}", split="test") for i, q in enumerate(build_episodic(3, 3).untaught[:5])]
    choices = tuple(Choice(q, f"right {i}", (f"wrong {i}",) * i) for i, q in enumerate(asked[2:]))
    suite = replace(build_episodic(2, 3), world=tuple(asked[:2]), choices=choices)
    assert suite_of(suite_tables(suite)) == suite


def test_questions_of_no_fact_are_an_error() -> None:
    question = Question("b", "fact", "fact/test-1", "test", "Where?", "pier")
    with pytest.raises(ArtifactError, match="'b'"):
        facts_of(facts_table([Fact("a", "x")]), questions_table([question]))


def test_facts_from_before_there_were_kinds_are_events() -> None:
    facts = (Fact("a", "One."), Fact("b", "Two.", statements=("Two again.",)))
    old = facts_table(facts).drop_columns(["kind", "details"])
    assert facts_of(old, questions_table([])) == facts
    related = (Fact("c", "Three.", kind="relational", details='{"head": "x"}'),)
    assert facts_of(facts_table(related), questions_table([])) == related
