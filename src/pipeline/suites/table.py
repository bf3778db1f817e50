"""Suites as Arrow tables and back, without loss: facts, questions, recalls, and one row about the suite itself.

``question`` tables keep the order of their rows, and every fact's questions come back in that order.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from pipeline.errors import ArtifactError
from pipeline.suites.types import Choice, Fact, Question, Recall, Suite, SuiteStatistics

FACTS = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("session", pa.string()),
        ("subject", pa.string()),
        ("relation", pa.string()),
        ("reward", pa.bool_()),
        ("pin", pa.bool_()),
        ("consolidate", pa.bool_()),
        ("statements", pa.list_(pa.string())),
        ("kind", pa.string()),
        ("details", pa.string()),
    ]
)
"""Schema ``facts/1``; files from before there were kinds lack the last two columns."""

QUESTIONS = pa.schema(
    [
        ("arm", pa.string()),
        ("memory", pa.string()),
        ("item_id", pa.string()),
        ("relation", pa.string()),
        ("form", pa.string()),
        ("split", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("aliases", pa.list_(pa.string())),
        ("style", pa.string()),
        ("system", pa.string()),
        ("history", pa.list_(pa.struct([("user", pa.string()), ("assistant", pa.string())]))),
    ]
)
"""Schema ``questions/1``: ``arm`` is taught, choice or a field of `Suite`; ``memory`` the text of a recall."""

CHOICES = pa.schema([("right", pa.string()), ("wrong", pa.list_(pa.string()))])
"""Schema ``choices/1``: the answers of the ``choice`` questions, row by row."""

SUITE = pa.schema(
    [("name", pa.string()), ("notes", pa.list_(pa.string())), ("statistics", pa.string()), ("taught", pa.int32())]
)
"""Schema ``suite/1``: one row; statistics as JSON, and the number of taught facts, which come first."""


def facts_table(facts: Iterable[Fact]) -> pa.Table:
    """Facts without their questions."""
    names = [field.name for field in FACTS]
    rows = [{name: getattr(fact, name) for name in names} for fact in facts]
    return pa.Table.from_pylist([{**row, "statements": list(row["statements"])} for row in rows], schema=FACTS)


def _row(question: Question, arm: str, memory: str | None) -> dict[str, Any]:
    row = {name: getattr(question, name) for name in QUESTIONS.names if name not in {"arm", "memory"}}
    history = [{"user": user, "assistant": assistant} for user, assistant in question.history]
    return {**row, "aliases": list(question.aliases), "history": history, "arm": arm, "memory": memory}


def questions_table(questions: Iterable[Question], arm: str = "taught") -> pa.Table:
    """Questions of one arm, in their order."""
    return pa.Table.from_pylist([_row(question, arm, None) for question in questions], schema=QUESTIONS)


def _question(row: Mapping[str, Any]) -> Question:
    return Question(
        item_id=row["item_id"],
        relation=row["relation"],
        form=row["form"],
        split=row["split"],
        question=row["question"],
        answer=row["answer"],
        aliases=tuple(row["aliases"]),
        style=row["style"],
        system=row["system"],
        history=tuple((turn["user"], turn["assistant"]) for turn in row["history"]),
    )


def questions_of(table: pa.Table) -> tuple[Question, ...]:
    """The inverse of `questions_table`."""
    return tuple(_question(row) for row in table.to_pylist())


def facts_of(facts: pa.Table, questions: pa.Table) -> tuple[Fact, ...]:
    """The inverse of `facts_table` together with `questions_table`.

    Raises:
        ArtifactError: A question belongs to no fact.
    """
    asked: dict[str, list[Question]] = defaultdict(list)
    for question in questions_of(questions):
        asked[question.item_id].append(question)
    found = tuple(
        Fact(**{**row, "statements": tuple(row["statements"])}, questions=tuple(asked.pop(row["id"], ())))
        for row in facts.to_pylist()
    )
    if asked:
        raise ArtifactError(
            f"the questions name {sorted(asked)[0]!r}, but no fact has this id; the two tables do not belong together"
        )
    return found


def suite_tables(suite: Suite) -> dict[str, pa.Table]:
    """A suite as tables ``facts``, ``questions``, ``choices`` and ``suite``; distractors follow the taught ones."""
    rows = [_row(q, "taught", None) for fact in (*suite.taught, *suite.distractors) for q in fact.questions]
    rows += [_row(q, "untaught", None) for q in suite.untaught]
    rows += [_row(q, "near_miss", None) for q in suite.near_miss]
    rows += [_row(q, "unseen", None) for q in suite.unseen]
    rows += [_row(r.question, "conflict", r.memory) for r in suite.conflict]
    rows += [_row(r.question, "new", r.memory) for r in suite.new]
    rows += [_row(q, "world", None) for q in suite.world]
    rows += [_row(choice.question, "choice", None) for choice in suite.choices]
    choices = [{"right": choice.right, "wrong": list(choice.wrong)} for choice in suite.choices]
    about = {"name": suite.name, "notes": list(suite.notes), "statistics": json.dumps(asdict(suite.statistics))}
    return {
        "facts": facts_table((*suite.taught, *suite.distractors)),
        "questions": pa.Table.from_pylist(rows, schema=QUESTIONS),
        "choices": pa.Table.from_pylist(choices, schema=CHOICES),
        "suite": pa.Table.from_pylist([{**about, "taught": len(suite.taught)}], schema=SUITE),
    }


def suite_of(tables: Mapping[str, pa.Table]) -> Suite:
    """The inverse of `suite_tables`; the table ``choices`` may be missing where there is none."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in tables["questions"].to_pylist():
        rows[row["arm"]].append(row)
    (about,) = tables["suite"].to_pylist()
    answers = tables["choices"].to_pylist() if "choices" in tables else []
    facts = facts_of(tables["facts"], pa.Table.from_pylist(rows["taught"], schema=QUESTIONS))
    return Suite(
        name=about["name"],
        taught=facts[: about["taught"]],
        distractors=facts[about["taught"] :],
        untaught=tuple(_question(row) for row in rows["untaught"]),
        near_miss=tuple(_question(row) for row in rows["near_miss"]),
        conflict=_recalls(rows["conflict"]),
        new=_recalls(rows["new"]),
        unseen=tuple(_question(row) for row in rows["unseen"]),
        statistics=SuiteStatistics(**json.loads(about["statistics"])),
        notes=tuple(about["notes"]),
        world=tuple(_question(row) for row in rows["world"]),
        choices=tuple(
            Choice(_question(row), answer["right"], tuple(answer["wrong"]))
            for row, answer in zip(rows["choice"], answers, strict=True)
        ),
    )


def _recalls(rows: Sequence[Mapping[str, Any]]) -> tuple[Recall, ...]:
    return tuple(Recall(row["memory"], _question(row)) for row in rows)
