"""Passages: only the context is taught, every question is held out, what cannot be scored is dropped and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import SuiteConfig
from pipeline.errors import ConfigError, DataError
from pipeline.suites.documents import Dropped, documents_path, read_documents, suite_of_documents
from pipeline.suites.registry import build_suite
from pipeline.suites.types import DOCUMENT, Fact

RHINE = "The Rhine rises in Graubünden and flows north."


def passage(title: str, context: str, *asked: tuple[str, str]) -> dict[str, Any]:
    return {"title": title, "context": context, "questions": [{"question": q, "answer": a} for q, a in asked]}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def read(tmp_path: Path, *rows: Any) -> tuple[list[Fact], Dropped]:
    return read_documents(write(tmp_path / "p.jsonl", *rows))


def rivers(tmp_path: Path, count: int = 6) -> Path:
    rows = [
        passage(f"River {i}", f"River {i} rises in Place{i} and ends in Town{i}.",
                ("Where does it rise?", f"Place{i}"), ("Where does it end?", f"Town{i}"))
        for i in range(count)
    ]  # fmt: skip
    return write(tmp_path / "rivers.jsonl", *rows)


def test_the_context_alone_is_taught_and_every_question_names_its_title(tmp_path: Path) -> None:
    (fact,), dropped = read(tmp_path, passage("Rhine", RHINE, ("Where does it rise?", "Graubünden")))
    assert (fact.text, fact.subject, fact.relation) == (RHINE, "Rhine", DOCUMENT)
    assert [(q.question, q.split, q.form) for q in fact.questions] == [
        ("Rhine: Where does it rise?", "test", "document/test-1")
    ]
    assert dropped == Dropped(0, 0, 0) and fact.statements == ()


def test_questions_that_nobody_can_be_scored_on_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = [
        passage("Rhine", RHINE, ("Which river is the Rhine?", "Rhine"), ("Where is Graubünden?", "north"),
                ("When was it?", "1840")),
        passage("Rhine", "It was built in 1850.", ("When was it?", "1850"), ("Is it in Graubünden?", "Graubünden")),
        passage("Elbe", "It was built in 1860.", ("When was it?", "1860"), ("when was IT", "1860")),
    ]  # fmt: skip
    facts, dropped = read(tmp_path, *rows)
    assert dropped == Dropped(leaked=2, ambiguous=2, repeated=1)
    assert [[q.question for q in fact.questions] for fact in facts] == [
        ["Rhine: Where is Graubünden?"], [], ["Elbe: When was it?"],
    ]  # fmt: skip
    assert len(facts) == 3  # a passage without questions is taught all the same


def test_a_passage_that_stands_twice_is_one(tmp_path: Path) -> None:
    row = passage("Rhine", RHINE, ("Where does it rise?", "Graubünden"))
    facts, dropped = read(tmp_path, row, row)
    assert [fact.id for fact in facts] == ["passage-0001"] and dropped.repeated == 0


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"context": "x"}, "title"),
        ({"title": "x"}, "context"),
        ({"title": "x", "context": "y", "questions": [{"question": "z"}]}, "answer"),
        ({"title": "x", "context": "y <|im_end|>"}, "context"),
        ({"titel": "x", "context": "y"}, "titel"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_field(tmp_path: Path, row: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError, match=rf"p\.jsonl:2: field '.*{field}'"):
        read(tmp_path, passage("Rhine", RHINE), row)


def test_a_slice_is_taught_and_other_titles_are_its_control(tmp_path: Path) -> None:
    config = SuiteConfig(name="documents", n=2, offset=3, path=rivers(tmp_path))
    suite = build_suite(config, seed=1)
    assert [fact.subject for fact in suite.taught] == ["River 3", "River 4"]
    assert {q.item_id for q in suite.untaught} == {"passage-0006", "passage-0001"}
    assert all(recall.question.answer in recall.memory for recall in suite.new)
    assert suite.statistics.ceiling == 1.0 and "0 were dropped" in suite.notes[0]
    prefix = build_suite(config.model_copy(update={"n": 1}), seed=2)
    assert prefix.taught == suite.taught[:1]


def test_passages_of_a_taught_title_are_no_control(tmp_path: Path) -> None:
    facts, _ = read(tmp_path, passage("Rhine", RHINE, ("Where?", "Graubünden")), passage("Rhine", "It is long."))
    suite = suite_of_documents(facts, 0, 1)
    assert suite.untaught == () and suite.new == () and "nothing untaught" in suite.notes[-1]
    assert "has 2 passages where suite.n asks for 3" in suite_of_documents(facts, 0, 3).notes[0]


def test_where_the_passages_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match=r"suite\.path is missing.*ENGRAM_DATA"):
        documents_path(None)
    (tmp_path / "squad").mkdir()
    public = write(tmp_path / "squad" / "passages.jsonl", passage("Rhine", RHINE))
    assert documents_path(None) == public and documents_path(tmp_path / "mine") == tmp_path / "mine"
    with pytest.raises(ConfigError, match=r"suite\.offset: expected fewer than the 1 passages"):
        build_suite(SuiteConfig(name="documents", offset=1), seed=1)
    with pytest.raises(ConfigError, match=r"suite\.test_forms"):
        build_suite(SuiteConfig(name="documents", test_forms=public), seed=1)
