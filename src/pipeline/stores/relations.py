"""One relation between two entities, as a fact's ``details`` hold it, and which of several statements answers now.

    {"head": "Ana Voss", "relation": "bought at", "tail": "Quill Emporium", "about": "lantern", "tail_kind": "store",
     "time": 3, "confidence": 0.9, "provenance": "letter", "many": false}

``head``, ``relation`` and ``tail`` are required. Statements of the same head, relation and ``about`` contradict each
other when their tails differ, unless ``many`` says that a head can have several. None is ever thrown away for that.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pipeline.errors import StoreError
from pipeline.evaluation.scoring import normalise
from pipeline.stores.episode import Episode

Slot = tuple[str, str, str]
"""What contradicting statements share: head, relation, and what it is about, normalised."""

_TYPES: dict[str, type | tuple[type, ...]] = {"str": str, "float": (int, float), "bool": bool}


@dataclass(frozen=True)
class Relation:
    """One edge of the graph.

    Attributes:
        episode_id: The stored fact that states it.
        head: Where the edge begins.
        relation: Its label.
        tail: Where it ends.
        about: What tells two edges of one head and label apart, such as the thing that was bought; often empty.
        tail_kind: What the tail is, in one word: a schema by which a question asks for it; often empty.
        time: When it was stated; any unit, later is larger.
        confidence: 0..1.
        provenance: Who or what stated it; the fact's source where nothing is said.
        many: Whether one head may have several tails at once.
    """

    episode_id: str
    head: str
    relation: str
    tail: str
    about: str = ""
    tail_kind: str = ""
    time: float = 0.0
    confidence: float = 1.0
    provenance: str = ""
    many: bool = False

    @property
    def slot(self) -> Slot:
        """What it states something of."""
        return normalise(self.head), self.relation, normalise(self.about)

    @property
    def nodes(self) -> tuple[str, str]:
        """Its two ends as nodes of the graph, normalised."""
        return normalise(self.head), normalise(self.tail)


def details_of(relation: Relation) -> str:
    """A relation as JSON for a fact's ``details``; the inverse of `relation_of`."""
    values = {field.name: getattr(relation, field.name) for field in fields(Relation) if field.name != "episode_id"}
    return json.dumps(values, ensure_ascii=False, sort_keys=True)


def relation_of(episode_id: str, details: str, source: str = "") -> Relation:
    """Read the ``details`` of a stored fact.

    Args:
        episode_id: Of the fact.
        details: JSON, see the module.
        source: Where the fact came from.

    Raises:
        StoreError: They are no object, a field is missing, unknown or of another type, or an end is empty.
    """
    try:
        values: Any = json.loads(details)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise _fault(episode_id, f"expected a JSON object with head, relation and tail, found {details[:60]!r}")
    known = {field.name: field for field in fields(Relation) if field.name != "episode_id"}
    if unknown := sorted(values.keys() - known.keys()):
        raise _fault(episode_id, f"unknown field(s) {', '.join(unknown)}; expected some of {', '.join(known)}")
    for name in ("head", "relation", "tail"):
        if not (isinstance(values.get(name), str) and normalise(values[name])):
            raise _fault(episode_id, f"expected a text in {name!r}, found {values.get(name)!r}")
    for name, value in values.items():
        kind = str(known[name].type)
        if not isinstance(value, _TYPES[kind]) or (kind == "float" and isinstance(value, bool)):
            raise _fault(episode_id, f"expected {kind} in {name!r}, found {value!r}")
    stated: dict[str, Any] = {"provenance": source, **values}
    relation = Relation(episode_id, **stated)
    if not 0 <= relation.confidence <= 1:
        raise _fault(episode_id, f"expected a confidence from 0 to 1, found {relation.confidence}")
    return relation


def relations_of(rows: Iterable[Episode]) -> list[Relation]:
    """The relation of every row, in their order."""
    return [relation_of(row.episode_id, row.details, row.source) for row in rows]


def newest_valid(relations: Sequence[Relation], least_confidence: float) -> list[Relation]:
    """The statements that answer now, in the order given: of each slot the newest valid one.

    Args:
        relations: In the order in which they were taken in; that decides between equal times.
        least_confidence: A statement below it is valid only where its slot has no surer one. Where none reaches it,
            the surest of them answers, the newest among equals.
    """
    slots: dict[Slot, list[int]] = defaultdict(list)
    for number, relation in enumerate(relations):
        slots[relation.slot].append(number)
    chosen: set[int] = set()
    for numbers in slots.values():
        valid = [i for i in numbers if relations[i].confidence >= least_confidence]
        if not valid:
            surest = max(relations[i].confidence for i in numbers)
            valid = [i for i in numbers if relations[i].confidence == surest]
        if all(relations[i].many for i in valid):
            chosen.update(_distinct_tails(relations, valid))
        else:
            chosen.add(max(valid, key=lambda i: (relations[i].time, i)))
    return [relations[i] for i in sorted(chosen)]


def _distinct_tails(relations: Sequence[Relation], numbers: Sequence[int]) -> list[int]:
    """Of each tail its newest statement."""
    newest: dict[str, int] = {}
    for i in sorted(numbers, key=lambda i: (relations[i].time, i)):
        newest[normalise(relations[i].tail)] = i
    return list(newest.values())


def _fault(episode_id: str, what: str) -> StoreError:
    return StoreError(f"details of relational fact {episode_id!r}: {what}")
