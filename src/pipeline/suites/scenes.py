"""What a fact says, slot by slot, read back from its text alone by the wordings in which suites tell facts.

scene = scene_of(fact)          # Scene("person_place", {"person": "Mona Hale", "place": "harbour", …}), or None
scene.fill("Was {person} at the {place}?")

A text in a person's own words fits no wording and has no scene.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from string import Formatter

from pipeline.suites import chains, walks
from pipeline.suites.events import RELATIONS, fill
from pipeline.suites.maps import DIRECTIONS, direction_aliases, opposite
from pipeline.suites.triples import relation_name, relations
from pipeline.suites.types import Fact
from pipeline.suites.vocabulary import Verb, day_aliases, verbs, vocabulary, with_article


@dataclass(frozen=True)
class Scene:
    """The slots of one fact.

    Attributes:
        relation: What the fact's questions ask.
        values: Slots as they stand in its text, such as ``person`` and ``verb``.
    """

    relation: str
    values: Mapping[str, str]

    @cached_property
    def slots(self) -> dict[str, str]:
        """Every slot that a template may name: those of the text, and what follows from them."""
        found = dict(self.values)
        for noun in ("thing", "place", "object"):
            if noun in found:
                found |= {f"a_{noun}": with_article(found[noun]), f"the_{noun}": f"the {found[noun]}"}
        if "object" in found:
            found["an_object"] = found["a_object"]
        if "day" in found:
            found["month"] = found["day"].split()[1]
        if "direction" in found:
            found["back"] = opposite(found["direction"])
        if verb := _verb(found.get("verb", "")):
            found |= {"verb_base": verb.base, "verb_part": verb.participle, "verb_gerund": verb.gerund}
        return found

    def fill(self, template: str) -> str:
        """A template with this scene's slots, beginning with a capital letter."""
        return fill(template, self.slots)

    def replaced(self, slot: str, value: str) -> Scene:
        """The scene with another value of a slot."""
        return Scene(self.relation, {**self.values, slot: value})


def slots_in(template: str) -> frozenset[str]:
    """The slots that a template names."""
    return frozenset(name for _, name, _, _ in Formatter().parse(template) if name)


def spellings(slot: str, value: str) -> tuple[str, ...]:
    """A value of a slot as it may be written; only days and directions have several spellings."""
    other = {"day": day_aliases, "direction": direction_aliases, "back": direction_aliases}.get(slot)
    return (value, *(other(value) if other else ()))


def scene_of(fact: Fact) -> Scene | None:
    """What a fact says, or None where no wording of its relation fits its text."""
    for pattern in _patterns().get(fact.relation, ()):
        if found := pattern.fullmatch(fact.text):
            return Scene(fact.relation, {k: v for k, v in found.groupdict().items() if k != "minutes"})
    return None


@cache
def _verb(past: str) -> Verb | None:
    return next((verb for verb in verbs() if verb.past == past), None)


@cache
def _patterns() -> dict[str, tuple[re.Pattern[str], ...]]:
    """How the facts of each relation are told, as patterns of their texts."""
    told: dict[str, list[str]] = {relation: list(vocabulary()["wording"]) for relation in RELATIONS}
    told |= {hop: [*how["told"], *how["corrected"]] for hop, how in chains.wordings().items()}
    told["direction"] = walks.wordings()["edge"]
    told |= {relation_name(triple): [how["text"]] for triple, how in relations().items()}
    return {relation: tuple(map(pattern_of, wordings)) for relation, wordings in told.items()}


def pattern_of(wording: str) -> re.Pattern[str]:
    """A wording as a pattern with one group a slot; articles that belong to a slot stand outside its group."""
    special = {
        "person": r"\S+ \S+",
        "verb": "|".join(re.escape(verb.past) for verb in verbs()),
        "day": r"\d{1,2} \w+",
        "minutes": r"\d+",
        "direction": "|".join(DIRECTIONS),
    }
    parts = []
    for literal, slot, _, _ in Formatter().parse(wording):
        parts.append(re.escape(literal))
        if slot:
            article = "an? " if slot.startswith(("a_", "an_")) else "the " if slot.startswith("the_") else ""
            name = slot.partition("_")[2] if article else slot
            parts.append(f"{article}(?P<{name}>{special.get(name, '.+?')})")
    return re.compile("".join(parts))
