"""Triples: every relation is told and asked in forms that name the subject and never the object."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.config.memory import SuiteConfig
from pipeline.errors import ConfigError, DataError
from pipeline.evaluation.prompts import holds, leaked_answer
from pipeline.suites.registry import build_suite
from pipeline.suites.triples import read_triples, relations, suite_of_triples
from tests.suites.published import published_folder

OBJECTS = dict(
    zip(
        relations(),
        ("oceanographer", "46", "Swedish", "violin", "Cardiff", "teal", "soy", "sushi", "theater", "2001"),
        strict=True,
    )
)
ROWS = [
    {"subject": f"{name}a", "relation": r, "object": OBJECTS[r]} for name, r in zip("ABCDEFGHIJ", OBJECTS, strict=True)
]


def write(path: Path, *rows: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_relation_is_told_and_asked(tmp_path: Path) -> None:
    facts = read_triples(write(tmp_path / "facts.jsonl", *ROWS), 10)
    assert facts[0].text == "Aa works as an oceanographer." and facts[1].text == "Ba is 46 years old."
    assert facts[5].text == "Fa's favorite color is teal."
    for fact, row in zip(facts, ROWS, strict=True):
        joint = "" if row["relation"].startswith("'") else " "
        assert fact.asked("train")[0].question == f"{row['subject']}{joint}{row['relation']}"
        counts = tuple(len(fact.asked(split)) for split in ("train", "probe", "test"))
        assert counts == (8, 1, 6)
        for question in fact.questions:
            assert holds(question.question, fact.subject) and leaked_answer(question, question.question) is None
        for told in (fact.text, *fact.statements):
            assert holds(told, row["object"]) and holds(told, fact.subject)


def test_held_out_forms_resemble_no_trained_one(tmp_path: Path) -> None:
    suite = suite_of_triples(read_triples(write(tmp_path / "facts.jsonl", *ROWS), 10), seed=1)
    for relation in {fact.relation for fact in suite.taught}:
        overlaps = sorted(value for form, value in suite.statistics.jaccard.items() if form.startswith(f"{relation}/"))
        assert len(overlaps) == 6 and overlaps[2] <= 0.4
    contexts = [q.system for fact in suite.taught for q in fact.asked("test") if q.system]
    trained = [q.system for fact in suite.taught for q in fact.questions if q.split != "test"]
    assert len(contexts) == 10 and not any(trained)


def test_a_borrowed_answer_is_of_the_same_kind(tmp_path: Path) -> None:
    more = [{**row, "subject": f"{row['subject']}b", "object": f"{row['object']}x"} for row in ROWS]
    suite = suite_of_triples(read_triples(write(tmp_path / "facts.jsonl", *ROWS, *more), 20), seed=1)
    known = {fact.relation: {q.answer for f in suite.taught if f.relation == fact.relation for q in f.questions[:1]}
             for fact in suite.taught}  # fmt: skip
    asked = [*suite.untaught, *(recall.question for recall in (*suite.conflict, *suite.new))]
    assert len(asked) == 20 * 6 + 20 + 20 and all(q.answer in known[q.relation] for q in asked)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"subject": "Zoe", "relation": "works at", "object": "sea"},
            r"facts\.jsonl:2: field 'relation': expected one of",
        ),
        ({"subject": "Zoe", "relation": "speaks"}, r"facts\.jsonl:2: field 'object': is missing"),
        ({**ROWS[0], "object": "baker"}, r"facts\.jsonl:2: field 'subject': 'Aa' and this relation stand in line 1"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_triples(write(tmp_path / "facts.jsonl", ROWS[0], row), 1)


def test_too_few_triples_and_test_forms_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "facts.jsonl", *ROWS)
    assert len(build_suite(SuiteConfig(name="triples", n=4, path=path), 1).taught) == 4
    with pytest.raises(DataError, match=r"suite\.n asks for 11 triples, but there are 10"):
        build_suite(SuiteConfig(name="triples", n=11, path=path), 1)
    with pytest.raises(ConfigError, match="test_forms"):
        build_suite(SuiteConfig(name="triples", n=4, test_forms=path), 1)
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path))
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"data set triples is not here: put facts\.jsonl.*vbario/sleeping-llm"):
        build_suite(SuiteConfig(name="triples", n=4), 1)


def test_the_public_triples_can_be_taught() -> None:
    path = published_folder("triples") / "facts.jsonl"
    suite = suite_of_triples(read_triples(path, 250), seed=1337)
    assert len(suite.taught) == 250 and suite.statistics.ceiling == 1.0
    assert max(suite.statistics.majority.values()) < 0.1 and len(suite.untaught) == 1500
    assert tuple(read_triples(path, 12)) == suite.taught[:12]
