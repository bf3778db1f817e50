"""Triples of subject, relation and object, in ten relations: facts of three words, as other systems are tested with.

    {"subject": "Ailsa", "relation": "works as", "object": "speech therapist"}

They are the half of ``experiments/data/fact_pool_500.json`` of vbario/sleeping-llm that lies in
``$ENGRAM_DATA/triples/facts.jsonl``. How a relation is told and asked stands in ``data/triples/relations.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import yaml

from pipeline.catalogue.data import located
from pipeline.errors import ConfigError, DataError
from pipeline.suites.controls import all_controls, asked_of
from pipeline.suites.registry import SuiteSettings, register_suite
from pipeline.suites.rows import Row, each_row
from pipeline.suites.statistics import require_unambiguous, statistics
from pipeline.suites.types import Fact, Question, Split, Style, Suite
from pipeline.suites.vocabulary import with_article

FILE = "facts.jsonl"
_FIELDS = ("subject", "relation", "object")
_SPLITS: tuple[Split, ...] = ("train", "probe", "test")


@cache
def relations() -> Mapping[str, Mapping[str, Any]]:
    """How each relation is told and asked."""
    source = files(__package__).joinpath("data", "triples", "relations.yaml")
    return cast(Mapping[str, Mapping[str, Any]], yaml.safe_load(source.read_text(encoding="utf-8")))


def relation_name(relation: str) -> str:
    """A relation as `Fact.relation` has it: ``is aged`` is ``is-aged``."""
    return relation.removeprefix("'s ").replace(" ", "-")


def read_triples(path: Path, n: int) -> list[Fact]:
    """The first ``n`` triples of a file as facts with all their questions.

    Raises:
        DataError: A row is malformed or of an unknown relation, a subject and relation stand twice, or there are fewer.
    """
    facts: list[Fact] = []
    lines: dict[tuple[str, str], int] = {}
    for row in each_row(path):
        row.check_fields(_FIELDS)
        subject, relation, answer = (row.text(field) for field in _FIELDS)
        if relation not in relations():
            row.fail("relation", f"expected one of {', '.join(map(repr, relations()))}, found {relation!r}")
        known = lines.setdefault((subject, relation), row.line)
        if known != row.line:
            row.fail("subject", f"{subject!r} and this relation stand in line {known} already; keep one of the rows")
        facts.append(_fact(row, subject, relation, answer))
    if len(facts) < n:
        raise DataError(f"{path}: suite.n asks for {n} triples, but there are {len(facts)}; lower suite.n")
    return facts[:n]


def _fact(row: Row, subject: str, relation: str, answer: str) -> Fact:
    forms = relations()[relation]
    slots = {"subject": subject, "object": answer, "an_object": with_article(answer)}
    identity, name = f"triple-{row.line:03d}", relation_name(relation)
    return Fact(
        id=identity,
        text=forms["text"].format_map(slots),
        subject=subject,
        relation=name,
        statements=tuple(statement.format_map(slots) for statement in forms["statements"]),
        questions=tuple(
            Question(
                item_id=identity,
                relation=name,
                form=f"{name}/{split}-{number}",
                split=split,
                question=form["question"].format(subject=subject),
                answer=answer,
                aliases=tuple(alias.format_map(slots) for alias in forms.get("aliases", ())),
                style=cast(Style, form.get("style", "question")),
                system=form.get("system"),
            )
            for split in _SPLITS
            for number, form in enumerate(forms[split], start=1)
        ),
    )


def suite_of_triples(facts: Sequence[Fact], seed: int) -> Suite:
    """The examination of triples, with controls about subjects that no triple names."""
    asked = {fact.id: asked_of(fact) for fact in facts}
    require_unambiguous("triples", [question for fact in facts for question in fact.questions])
    return Suite(
        name="triples",
        taught=tuple(facts),
        distractors=(),
        **all_controls(facts, asked, seed),
        statistics=statistics(facts),
        notes=("Subjects have one name, so there are no namesakes to tell them from.",),
    )


@register_suite("triples")
def build(config: SuiteSettings, seed: int) -> Suite:
    """The suite ``triples``: the first ``suite.n`` rows of ``suite.path``, or of the public file."""
    if config.test_forms is not None:
        raise ConfigError("suite.test_forms has no use for the suite 'triples': its test forms are fixed")
    path = config.path if config.path is not None else located("triples") / FILE
    return suite_of_triples(read_triples(Path(path), config.n), seed)
