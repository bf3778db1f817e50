"""Which single questions a question over several facts comes to: the schema of the suites at work, and no fact.

first, second = hops_of(join)    # person_store, then store_city
first.ask()                      # "What is the name of the store where Ada Moor bought the kettle?"
second.ask("Quill Works")        # whatever the first was answered with

Names are read out of the composed question itself. The single questions have wordings of their own
(``data/<suite>/self_ask.yaml``), which are no train, probe or test form of their relation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from pipeline.errors import DataError
from pipeline.suites.chains import HOPS, JOINS
from pipeline.suites.phrasing import phrasing
from pipeline.suites.scenes import Scene, pattern_of
from pipeline.suites.types import Question
from pipeline.suites.unseen_pairs import unseen_template

WALK, WAY = "unseen_walk", "unseen_next"
CHAINED = (*JOINS, WALK)
"""Questions whose single questions follow one from the other; of `WAY` only start and goal are known."""
_SUBJECTS = {
    **{hop: f"{{{hop.partition('_')[0]}}}" for hop in HOPS},
    "adjacent": "{direction} of the {start}",
    "direction": "{goal} from the {start}",
}
"""Whom or what a single question is about, as `pipeline.suites.types.Fact.subject` says it."""


@dataclass(frozen=True)
class Single:
    """A question about one fact.

    Attributes:
        relation: Of the fact.
        subject: Whom or what it names, as `Fact.subject` does.
        text: As it is asked.
    """

    relation: str
    subject: str
    text: str


@dataclass(frozen=True)
class Hop:
    """One single question of several, the name in which is known when the one before it has been answered.

    Attributes:
        relation: What it asks.
        slots: What the composed question tells.
        takes: The slot for the answer before it; empty in the first.
        wording: Which of the relation's wordings is used, counted from 0.
    """

    relation: str
    slots: Mapping[str, str]
    takes: str = ""
    wording: int = 0

    def ask(self, before: str = "") -> Single:
        """The question, with the answer to the one before it."""
        return _single(self.relation, {**self.slots, self.takes: before} if self.takes else self.slots, self.wording)


def adjacent(start: str, direction: str) -> Single:
    """Which place lies in a direction of another."""
    return _single("adjacent", {"start": start, "direction": direction})


def direction(start: str, goal: str) -> Single:
    """In which direction a place lies from another."""
    return _single("direction", {"start": start, "goal": goal})


def hops_of(question: Question) -> tuple[Hop, ...]:
    """The single questions of a join, or of a walk in two directions, in their order.

    Raises:
        DataError: The question is none of `CHAINED`, or is not worded as its form.
    """
    told, wording = slots_of(question), int(question.form.rpartition("-")[2]) - 1
    if question.relation == WALK:
        first = Hop("adjacent", {"start": told["start"], "direction": told["direction"]}, "", wording)
        return first, Hop("adjacent", {"direction": told["then"]}, "start", wording)
    relations = HOPS[: JOINS[question.relation] + 1]
    slots: list[dict[str, str]] = [told, *({} for _ in relations[1:])]
    takes = ["", *(relation.partition("_")[0] for relation in relations[1:])]
    return tuple(Hop(*hop, wording) for hop in zip(relations, slots, takes, strict=True))


def slots_of(question: Question) -> dict[str, str]:
    """What a composed question names, read from its text by the template of its form.

    Raises:
        DataError: The question is no composed one, or is not worded as its form.
    """
    if question.relation in (WALK, WAY):
        template = unseen_template(question.form)
    else:
        forms = phrasing(question.relation, "relational").test if question.relation in JOINS else ()
        template = next((form.template for form in forms if form.name == question.form), "")
    found = pattern_of(template).fullmatch(question.question)
    if not template or found is None:
        raise DataError(f"form {question.form!r} has no hops, or is worded otherwise than {question.question!r}")
    return Scene(question.relation, found.groupdict()).slots


@cache
def wordings() -> dict[str, tuple[str, ...]]:
    """How single questions are worded, by relation."""
    found: dict[str, tuple[str, ...]] = {}
    for suite in ("relational", "spatial"):
        text = files(__package__).joinpath("data", suite, "self_ask.yaml").read_text(encoding="utf-8")
        found |= {relation: tuple(templates) for relation, templates in yaml.safe_load(text).items()}
    return found


def _single(relation: str, slots: Mapping[str, str], wording: int = 0) -> Single:
    templates = wordings()[relation]
    scene = Scene(relation, slots)
    return Single(relation, _SUBJECTS[relation].format_map(slots), scene.fill(templates[wording % len(templates)]))
