"""Which places and directions a question names, and between which of them it asks for the way."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SURE_START = re.compile(r"\b(?:from|at|leav(?:e|es|ing)|left|next to|in relation to)(?: the)? *$", re.IGNORECASE)
_START = re.compile(r"\b(?:starts?|starting|departure|after|off|out of|between|of)\b[^.?!,:;]{0,12}$", re.IGNORECASE)
_GOAL = re.compile(
    r"\b(?:to|for|reach|towards|aim|into|on|arrival|destination|see|goal|want|find)\b[^.?!,;]{0,12}$", re.IGNORECASE
)


@dataclass(frozen=True)
class Named:
    """What a text names, each once, in the order of first mention."""

    places: tuple[str, ...]
    directions: tuple[str, ...]


def _found(text: str, names: Iterable[str]) -> list[tuple[int, int, str]]:
    """(begin, end, name) of every whole-word mention; longer names win where mentions overlap."""
    taken: list[tuple[int, int, str]] = []
    for name in sorted(names, key=lambda name: (-len(name), name)):
        parts = re.escape(name).replace(r"\ ", r"[\s-]+")
        for match in re.finditer(rf"(?<![\w-]){parts}(?![\w-])", text, re.IGNORECASE):
            if all(match.end() <= begin or match.start() >= end for begin, end, _ in taken):
                taken.append((match.start(), match.end(), name))
    return sorted(taken)


def _joined(text: str) -> str:
    """The text with "north-east" and "north east" written as one word."""
    return re.sub(r"\b(north|south)[\s-]+(east|west)\b", r"\1\2", text, flags=re.IGNORECASE)


def named(text: str, places: Iterable[str], directions: Iterable[str]) -> Named:
    """Places once each; directions as often as they are said."""
    joined = _joined(text)
    found = tuple(dict.fromkeys(name for _, _, name in _found(joined, places)))
    return Named(found, tuple(name for _, _, name in _found(joined, directions)))


def start_and_goal(text: str, first: str, second: str) -> tuple[str, str]:
    """Of two places, given in the order of their mention, the one that the way begins at, then the other one.

    Words such as "from" and "at" mark a start, "to" and "reach" a goal; without either the first one is the start.
    """
    before = {name: text[:begin] for begin, _, name in reversed(_found(text, (first, second)))}
    sure = [_SURE_START.search(before[name]) is not None for name in (first, second)]
    if any(sure):
        return (first, second) if sure[0] else (second, first)
    likely = [_START.search(before[name]) is not None for name in (first, second)]
    towards = [_GOAL.search(before[name]) is not None for name in (first, second)]
    if likely[1] and not towards[1] and (towards[0] or not likely[0]):
        return second, first
    return first, second
