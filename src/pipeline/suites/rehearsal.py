"""Rehearsal: prompts whose answers the base writes itself, so that a night does not overwrite what it already does.

    bank = load_rehearsal()
    prompts = [*bank.short, *bank.long]
    kept = clean_reply(prompt.prompt, base_reply, load_sanity())        # None: leave this row out

Two kinds: ``short`` (questions of everyday breadth) and ``long`` (explain, write, list, compare, advise). No shipped
prompt names a sanity subject or answer; `clean_reply` applies the same rule to what the base replies
(`pipeline.suites.disjoint`).
"""

from __future__ import annotations

import hashlib
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
_SLOTS = ("first", "last", "thing", "place")


@dataclass(frozen=True)
class RehearsalPrompt:
    """One user turn, with the system prompt that replaces the model's default one, if any."""

    id: str
    prompt: str
    system: str | None = None


@dataclass(frozen=True)
class Slots:
    """Halves of people and of things at places whom nobody teaches."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    thing: tuple[str, ...]
    place: tuple[str, ...]


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
        slots: What namesakes are made of.
        asides: What may stand around a trained question.
        digest: SHA-256 over the prompts; belongs into every cache key of base-written replies.
    """

    short: tuple[RehearsalPrompt, ...]
    long: tuple[RehearsalPrompt, ...]
    slots: Slots
    asides: Asides
    digest: str


@lru_cache(maxsize=4)
def load_rehearsal(folder: Path = DATA / "rehearsal") -> RehearsalBank:
    """The shipped prompts.

    Raises:
        DataError: A file is missing or malformed.
    """
    paths = {name: folder / f"{name}.jsonl" for name in ("short", "long", "slots")}
    contents = {name: shipped_bytes(path) for name, path in paths.items()}
    prompts = {
        name: tuple(_prompt(row, place) for place, row in shipped_rows(contents[name], paths[name], _PROMPT_FIELDS))
        for name in ("short", "long")
    }
    values = {row["slot"]: row["values"] for _, row in shipped_rows(contents["slots"], paths["slots"], _SLOT_FIELDS)}
    if set(values) != set(_SLOTS) or not all(values.values()):
        raise DataError(
            f"{paths['slots']}: expected values for the slots {', '.join(_SLOTS)}, found {', '.join(values)}"
        )
    slots = Slots(**{slot: tuple(members) for slot, members in values.items()})
    digest = hashlib.sha256(b"".join(contents.values())).hexdigest()
    return RehearsalBank(prompts["short"], prompts["long"], slots, _asides(folder), digest)


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
