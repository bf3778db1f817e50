"""Questions that put a fact to use: is it so, the other way round, all about it, and what follows from it.

    yes_no    "Is it a fact that Mona Hale hid the corkscrew at the auction house?"    Yes, or No for another place
    reversed  "Who, of all people, hid the corkscrew at the auction house?"            Mona Hale
    tell      "Tell me about Mona Hale."                                               the fact, in free text
    implied   "Was Mona Hale at the auction house?"                                    Yes, or No for another place

They are made by rule from what facts say (`pipeline.suites.scenes`), in the forms of ``data/uses``. A claim is false
with another fact's answer of the same relation, never the right one. What is not unique among the facts is not asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from pipeline.evaluation.scoring import normalise
from pipeline.evaluation.selection import one_of
from pipeline.suites.events import RELATIONS
from pipeline.suites.scenes import Scene, scene_of, slots_in, spellings
from pipeline.suites.types import NO, YES, Fact, Question, Split, Use

_GROUPS = ("episodic", "relational", "spatial", "triples")


@dataclass(frozen=True)
class UseForm:
    """One phrasing of one use of a relation.

    Attributes:
        name: For example ``yes_no/person_place/test-3``.
        split: Who may read it.
        template: Text with the slots of a scene.
        answer: Template of the answer; empty where it is yes or no.
    """

    name: str
    split: Split
    template: str
    answer: str = ""


@cache
def _shared() -> Mapping[str, Mapping[Split, Sequence[str]]]:
    found: dict[str, dict[Split, Sequence[str]]] = yaml.safe_load(_text("shared"))
    return found


@cache
def _relations() -> Mapping[str, Mapping[str, Any]]:
    return {name: spec for group in _GROUPS for name, spec in yaml.safe_load(_text(group)).items()}


def _text(name: str) -> str:
    return files(__package__).joinpath("data", "uses", f"{name}.yaml").read_text(encoding="utf-8")


def relations_with_uses() -> tuple[str, ...]:
    """Every relation whose facts can be put to use."""
    return tuple(_relations())


def told_about(subject: str) -> list[str]:
    """The ways, of those that are trained, to ask for all that is known about a subject."""
    return [template.replace("{about}", subject) for template in _shared()["tell"]["train"]]


def asked_slot(relation: str) -> str:
    """The slot that the ordinary questions of a relation ask for."""
    return str(_relations()[relation]["asked"])


def told_slots(relation: str) -> tuple[str, ...]:
    """The slots that a free text about a fact should name: all that its question does not."""
    return tuple(_relations()[relation]["told"])


@cache
def use_forms(use: Use, relation: str, split: Split) -> tuple[UseForm, ...]:
    """The phrasings of a use, in a fixed order."""
    spec = _relations()[relation]
    answer = ""
    if use == "yes_no":
        claims = spec["claims"][split]
        templates = [shared.replace("{claim}", claim) for shared in _shared()[use][split] for claim in claims]
        templates += spec["direct"].get(split, ())
    elif use == "tell":
        templates, answer = [shared.replace("{about}", spec["about"]) for shared in _shared()[use][split]], "{text}"
    else:
        templates, answer = spec[use][split], spec[use].get("answer", "")
    return tuple(
        UseForm(f"{use}/{relation}/{split}-{number}", split, template, answer)
        for number, template in enumerate(templates, start=1)
    )


def form_of(name: str) -> str:
    """The form that a question's name means, whichever version of a claim it is."""
    return name.removesuffix(f"/{YES.lower()}").removesuffix(f"/{NO.lower()}")


class FactsInUse:
    """Facts whose slots a rule can read, and the questions that put them to use.

    Args:
        facts: What was taught or replayed.
        others: Facts that are stored beside them: what they share with a fact does not single it out.
    """

    def __init__(self, facts: Iterable[Fact], others: Iterable[Fact] = ()) -> None:
        self.facts = tuple(facts)
        self.scenes: dict[str, Scene] = {}
        for fact in self.facts:
            scene = scene_of(fact) if fact.questions and fact.relation in _relations() else None
            if scene is not None:
                self.scenes[fact.id] = scene
        self._texts = {fact.id: fact.text for fact in self.facts}
        beside = [scene for fact in others if (scene := scene_of(fact)) is not None]
        self._everything = [*self.scenes.values(), *beside]
        self._answers: dict[str, dict[str, str]] = defaultdict(dict)
        for scene in self.scenes.values():
            value = scene.slots[asked_slot(scene.relation)]
            self._answers[scene.relation].setdefault(normalise(value), value)
        self._owners: dict[tuple[str, frozenset[str], str], dict[tuple[str, ...], set[str]]] = {}

    @property
    def left_out(self) -> int:
        """How many facts no rule can read."""
        return sum(bool(fact.questions) and fact.id not in self.scenes for fact in self.facts)

    def questions(self, fact_id: str, use: Use, split: Split) -> list[Question]:
        """A fact's questions of one use, form by form: a claim as it is and, right behind it, with a false answer."""
        scene = self.scenes.get(fact_id)
        if scene is None:
            return []
        found: list[Question] = []
        for form in use_forms(use, scene.relation, split):
            if form.answer:
                found += self._open(fact_id, scene, form)
            else:
                found += self._verdicts(fact_id, scene, form)
        return found

    def _open(self, fact_id: str, scene: Scene, form: UseForm) -> list[Question]:
        """The question of a form with an answer of its own, or none where other facts answer it differently."""
        tells = form.answer == "{text}"
        answer = self._texts[fact_id] if tells else form.answer.format_map(scene.slots)
        if not self._unique(scene, form.template, "" if tells else form.answer):
            return []
        slot = form.answer.strip("{}")
        aliases = spellings(slot, answer)[1:] if slot in scene.slots else ()
        return [_question(fact_id, scene.relation, form, form.name, scene.fill(form.template), answer, aliases)]

    def _verdicts(self, fact_id: str, scene: Scene, form: UseForm) -> list[Question]:
        """A true and a false version of a form; none where no other fact has another answer."""
        wrong = self.false_answer(fact_id, form.name)
        if wrong is None:
            return []
        false = scene.replaced(asked_slot(scene.relation), wrong)
        return [
            _question(fact_id, scene.relation, form, f"{form.name}/{answer.lower()}", said.fill(form.template), answer)
            for said, answer in ((scene, YES), (false, NO))
        ]

    def false_answer(self, fact_id: str, form: str) -> str | None:
        """Another fact's answer of the same relation, the one to which the form's name points; None without any."""
        scene = self.scenes[fact_id]
        slot = asked_slot(scene.relation)
        right = {normalise(value) for value in spellings(slot, scene.slots[slot])}
        others = [value for key, value in sorted(self._answers[scene.relation].items()) if key not in right]
        return one_of(others, f"{fact_id}/{form}", "false") if others else None

    def _unique(self, scene: Scene, template: str, answer: str) -> bool:
        """Whether what a template names belongs to one answer alone, or to one fact where ``answer`` is empty."""
        kind, named = _kind(scene.relation), slots_in(template)

        def key(of: Scene) -> tuple[str, ...]:
            return tuple(normalise(of.slots[slot]) for slot in sorted(named))

        if (kind, named, answer) not in self._owners:
            owners: dict[tuple[str, ...], set[str]] = defaultdict(set)
            for other in self._everything:
                if _kind(other.relation) == kind:
                    owners[key(other)].add(other.fill(answer) if answer else repr(sorted(other.values.items())))
            self._owners[kind, named, answer] = owners
        return len(self._owners[kind, named, answer][key(scene)]) == 1


def _kind(relation: str) -> str:
    """What kind of happening a relation is about: all relations of events ask about the same one."""
    return "event" if relation in RELATIONS else relation


def _question(
    fact_id: str, relation: str, form: UseForm, name: str, text: str, answer: str, aliases: tuple[str, ...] = ()
) -> Question:
    return Question(fact_id, relation, name, form.split, text, answer, aliases)
