"""Rehearsal: prompts whose answers the base writes itself, so that a night does not overwrite what it already does.

    bank = load_rehearsal()
    prompts = [*bank.short, *bank.long, *bank.unknown(200, seed=1337)]
    kept = clean_reply(prompt.prompt, base_reply, load_sanity())        # None: leave this row out

Three kinds: ``short`` (questions of everyday breadth), ``long`` (explain, write, list, compare, advise) and ``unknown``
(private people and events that nobody ever taught: the base's own way of not knowing is what must survive). No
shipped prompt names a sanity subject or answer; `clean_reply` applies the same rule to what the base replies
(`pipeline.suites.disjoint`).
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.suites.disjoint import clean_reply, conflicts, prompt_conflicts
from pipeline.suites.shipped import DATA, shipped_bytes, shipped_rows

__all__ = [
    "RehearsalBank",
    "RehearsalPrompt",
    "Slots",
    "clean_reply",
    "conflicts",
    "load_rehearsal",
    "prompt_conflicts",
]

_PROMPT_FIELDS = ("id", "prompt", "system")
_SLOT_FIELDS = ("slot", "values")
_ASIDE_FIELDS = ("where", "text")
_SLOTS = ("first", "last", "thing", "place", "day", "verb")
_ARTICLE = re.compile(r"\b([Aa]) (?=\{thing\})")


@dataclass(frozen=True)
class RehearsalPrompt:
    """One user turn, with the system prompt that replaces the model's default one, if any."""

    id: str
    prompt: str
    system: str | None = None


@dataclass(frozen=True)
class Slots:
    """What fills the templates about unknown people: names, things, places, days, and verbs as (base, past)."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    thing: tuple[str, ...]
    place: tuple[str, ...]
    day: tuple[str, ...]
    verb: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Asides:
    """What people say around a question without changing it: ``before`` it, and ``after`` it."""

    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class RehearsalBank:
    """All shipped rehearsal prompts.

    Attributes:
        short: Short general questions.
        long: Prompts for long replies, some with another system prompt.
        unknown_templates: Questions about unknown people with ``{person}``, ``{thing}``, … slots.
        slots: What fills them.
        asides: What may stand around a trained question.
        digest: SHA-256 over the prompts; belongs into every cache key of base-written replies.
    """

    short: tuple[RehearsalPrompt, ...]
    long: tuple[RehearsalPrompt, ...]
    unknown_templates: tuple[RehearsalPrompt, ...]
    slots: Slots
    asides: Asides
    digest: str

    def unknown(self, n: int, seed: int, avoid: Collection[str] = ()) -> tuple[RehearsalPrompt, ...]:
        """``n`` filled templates about people who exist nowhere; every template is used before one is used again.

        Args:
            n: How many.
            seed: Fixes the order of the templates and every filling.
            avoid: Full names that must not occur (the people of the suite that is taught).

        Raises:
            DataError: ``avoid`` leaves no names.
        """
        rng = random.Random(f"rehearsal/unknown/{seed}")
        free = [(a, b) for a in self.slots.first for b in self.slots.last if f"{a} {b}" not in avoid]
        if n and not free:
            raise DataError(
                "every name for unknown people is in use by the suite; rehearsal needs at least one free name"
            )
        filled: list[RehearsalPrompt] = []
        for round_ in range(-(-n // len(self.unknown_templates))):
            for template in rng.sample(self.unknown_templates, len(self.unknown_templates)):
                text = _fill(template.prompt, self.slots, rng.choice(free), rng)
                filled.append(RehearsalPrompt(f"{template.id}/{round_}", text, template.system))
        return tuple(filled[:n])


def _fill(template: str, slots: Slots, name: tuple[str, str], rng: random.Random) -> str:
    first, last = name
    verb, verb_past = rng.choice(slots.verb)
    thing, place, day = rng.choice(slots.thing), rng.choice(slots.place), rng.choice(slots.day)
    if thing[0] in "aeiou":
        template = _ARTICLE.sub(r"\1n ", template)
    person = f"{first} {last}"
    return template.format(
        first=first, last=last, person=person, thing=thing, place=place, day=day, verb=verb, verb_past=verb_past
    )


@lru_cache(maxsize=4)
def load_rehearsal(folder: Path = DATA / "rehearsal") -> RehearsalBank:
    """The shipped prompts.

    Raises:
        DataError: A file is missing or malformed.
    """
    paths = {name: folder / f"{name}.jsonl" for name in ("short", "long", "unknown", "slots")}
    contents = {name: shipped_bytes(path) for name, path in paths.items()}
    prompts = {
        name: tuple(_prompt(row, place) for place, row in shipped_rows(contents[name], paths[name], _PROMPT_FIELDS))
        for name in ("short", "long", "unknown")
    }
    values = {row["slot"]: row["values"] for _, row in shipped_rows(contents["slots"], paths["slots"], _SLOT_FIELDS)}
    if set(values) != set(_SLOTS) or not all(values.values()):
        raise DataError(
            f"{paths['slots']}: expected values for the slots {', '.join(_SLOTS)}, found {', '.join(values)}"
        )
    verbs = tuple((str(base), str(past)) for base, past in values.pop("verb"))
    slots = Slots(**{slot: tuple(members) for slot, members in values.items()}, verb=verbs)
    digest = hashlib.sha256(b"".join(contents.values())).hexdigest()
    return RehearsalBank(prompts["short"], prompts["long"], prompts["unknown"], slots, _asides(folder), digest)


def _asides(folder: Path) -> Asides:
    path = folder / "asides.jsonl"
    rows = [row for _, row in shipped_rows(shipped_bytes(path), path, _ASIDE_FIELDS)]
    found = {where: tuple(row["text"] for row in rows if row["where"] == where) for where in ("before", "after")}
    if not all(found.values()) or sum(map(len, found.values())) != len(rows):
        raise DataError(f"{path}: every row says `before` or `after`, and there have to be some of both")
    return Asides(**found)


def _prompt(row: dict[str, Any], place: str) -> RehearsalPrompt:
    if not isinstance(row["prompt"], str) or not row["prompt"].strip():
        raise DataError(f"{place}: expected a prompt, found {row['prompt']!r}")
    return RehearsalPrompt(row["id"], row["prompt"], row["system"])
