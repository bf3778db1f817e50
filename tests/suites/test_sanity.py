"""The sanity panels: fixed, balanced, honest."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.evaluation.scoring import contains, normalise
from pipeline.suites import sanity
from pipeline.suites.disjoint import words_of
from pipeline.suites.sanity import PANELS, load_sanity, subset
from pipeline.suites.shipped import DATA

GIVEN_AWAY = ("skills-copy", "skills-choose")
QUESTIONS = load_sanity()


def test_four_panels_with_at_least_640_questions() -> None:
    by_panel = Counter(q.panel for q in QUESTIONS)
    assert set(by_panel) == set(PANELS)
    assert min(by_panel.values()) >= 150
    assert len(QUESTIONS) >= 640


@pytest.mark.parametrize("panel", PANELS)
def test_halves_are_balanced_within_a_panel(panel: str) -> None:
    halves = Counter(q.half for q in QUESTIONS if q.panel == panel)
    assert abs(halves["dev"] - halves["test"]) <= 1


def test_ids_and_questions_are_unique() -> None:
    assert len({q.id for q in QUESTIONS}) == len(QUESTIONS)
    repeated = [text for text, times in Counter(" ".join(words_of(q.question)) for q in QUESTIONS).items() if times > 1]
    assert repeated == []


def test_every_question_can_be_scored() -> None:
    for question in QUESTIONS:
        rights = (question.answer, *question.aliases)
        assert words_of(question.subject) and question.question.strip() == question.question, question
        assert all(normalise(right) for right in rights), question
        assert contains(f"It is {question.answer}.", question.answer), question
        assert len({right.lower() for right in rights}) == len(rights), f"an alias repeats the answer: {question}"


def test_only_copying_choosing_and_context_hold_their_answer() -> None:
    free = [q for q in QUESTIONS if q.panel != "context" and not q.id.startswith(GIVEN_AWAY)]
    told = [q.id for q in free if any(contains(q.question, a, window=10_000) for a in (q.answer, *q.aliases))]
    assert told == []


def test_context_answers_stand_in_their_passage() -> None:
    context = [q for q in QUESTIONS if q.panel == "context"]
    lost = [q.id for q in context if not contains(q.question, q.answer, q.aliases, window=10_000)]
    assert lost == []


def test_copied_words_stand_in_their_question() -> None:
    copied = [q for q in QUESTIONS if q.id.startswith(GIVEN_AWAY)]
    lost = [q.id for q in copied if not contains(q.question, q.answer, q.aliases, window=10_000)]
    assert lost == [] and len(copied) >= 60


@given(st.integers(0, len(QUESTIONS)))
def test_subset_is_stratified_ordered_and_fixed(n: int) -> None:
    chosen = subset(QUESTIONS, n)
    assert len(chosen) == n and len(set(chosen)) == n
    positions = [QUESTIONS.index(q) for q in chosen[:10]]
    assert positions == sorted(positions)
    for panel in PANELS:
        share = n * sum(q.panel == panel for q in QUESTIONS) / len(QUESTIONS)
        assert abs(sum(q.panel == panel for q in chosen) - share) <= 2
    assert chosen == subset(QUESTIONS, n)


def test_subset_does_not_depend_on_the_order_of_the_questions() -> None:
    forward, backward = subset(QUESTIONS, 150), subset(tuple(reversed(QUESTIONS)), 150)
    assert set(forward) == set(backward)
    assert {q.half for q in forward} == {"dev", "test"}


@pytest.mark.parametrize("n", [-1, len(QUESTIONS) + 1])
def test_subset_refuses_impossible_sizes(n: int) -> None:
    with pytest.raises(DataError, match="subset"):
        subset(QUESTIONS, n)


@pytest.fixture
def copied_panels(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "sanity", tmp_path / "sanity"))


def test_an_untouched_copy_loads(copied_panels: Path) -> None:
    assert load_sanity(copied_panels) == QUESTIONS


def test_a_changed_panel_is_refused(copied_panels: Path) -> None:
    path = copied_panels / "world.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("Paris", "Lyon"), encoding="utf-8")
    with pytest.raises(DataError, match=sanity.SANITY_SHA256):
        load_sanity(copied_panels)


def test_a_missing_panel_is_named(copied_panels: Path) -> None:
    (copied_panels / "skills.jsonl").unlink()
    with pytest.raises(DataError, match=r"skills\.jsonl"):
        load_sanity(copied_panels)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not json", "one JSON object a line"),
        ("[1]", "expected a JSON object, found list"),
        ('{"id": "x"}', "wrong: aliases"),
        (
            '{"id": "x", "panel": "music", "half": "dev", "question": "", "answer": "", "aliases": [], "subject": ""}',
            "unknown panel 'music'",
        ),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(copied_panels: Path, line: str, reason: str) -> None:
    path = copied_panels / "general.jsonl"
    first = path.read_text(encoding="utf-8").split("\n")[0]
    path.write_text(f"{first}\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=reason) as caught:
        load_sanity(copied_panels)
    assert "general.jsonl:2" in str(caught.value)


def test_bytes_that_are_no_text_are_refused(copied_panels: Path) -> None:
    (copied_panels / "general.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="UTF-8"):
        load_sanity(copied_panels)
