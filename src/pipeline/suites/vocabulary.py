"""The words that events are made of, read from ``data/episodic``."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

_MONTHS = tuple(calendar.month_name)[1:]
_VOWEL_SOUNDS = ("a", "e", "i", "o", "u", "hour")


@dataclass(frozen=True)
class Verb:
    """One verb in the four forms that templates use: buy, bought, bought, buying."""

    base: str
    past: str
    participle: str
    gerund: str


def with_article(noun: str) -> str:
    """The noun after "a" or "an", by its sound."""
    vowel = noun.startswith(_VOWEL_SOUNDS) and not noun.startswith("uku")
    return f"{'an' if vowel else 'a'} {noun}"


def day_aliases(day: str) -> tuple[str, ...]:
    """Other ways to write "14 March"."""
    number, month = day.split()
    teen = number in {"11", "12", "13"}
    ordinal = number + ("th" if teen else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th"))
    return (
        f"{month} {number}",
        f"{month} {ordinal}",
        f"{ordinal} {month}",
        f"{ordinal} of {month}",
        f"the {ordinal} of {month}",
    )


def _lines(name: str) -> list[str]:
    text = files(__package__).joinpath("data", "episodic", name).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _words(name: str) -> list[str]:
    return [word for line in _lines(name) for word in line.split()]


@cache
def vocabulary() -> dict[str, tuple[str, ...]]:
    """The values of every slot: firsts, lasts, places, things, days, wordings."""
    days = [f"{day} {month}" for month in _MONTHS for day in range(1, 29)]
    wordings = yaml.safe_load("\n".join(_lines("events.yaml")))
    lists = {
        "first": _words("first_names.txt"),
        "last": _words("last_names.txt"),
        "place": _lines("places.txt"),
        "thing": _lines("things.txt"),
        "day": days,
        "wording": wordings,
    }
    return {name: tuple(values) for name, values in lists.items()}


@cache
def more_vocabulary() -> dict[str, tuple[str, ...]]:
    """Values that are dealt once a slot of `vocabulary` has no unused combination left: lasts, places, things.

    They stand apart so that suites which need none of them stay what they were.
    """
    lists = {
        "last": _words("more_last_names.txt"),
        "place": _lines("more_places.txt"),
        "thing": _lines("more_things.txt"),
    }
    return {name: tuple(values) for name, values in lists.items()}


@cache
def verbs() -> tuple[Verb, ...]:
    """All verbs; each fits every thing and every place."""
    return tuple(Verb(*row) for row in yaml.safe_load("\n".join(_lines("verbs.yaml"))))
