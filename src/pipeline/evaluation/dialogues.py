"""How a question over several facts is asked in steps: what is asked next, given what the model has said so far.

A dialogue yields the single questions that are open, is sent their turns, and returns the turn that answers the whole.
It is made from a composed question's text alone; every other name in it is the model's own.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from pipeline.evaluation.scoring import normalise
from pipeline.evaluation.types import Generated
from pipeline.suites.hops import WAY, Hop, Single, adjacent, direction, hops_of, slots_of
from pipeline.suites.maps import DIRECTIONS
from pipeline.suites.types import Question

_END = re.compile(r"[\n,;]|[.!?](?=\s|$)")
_AROUND = "\"'`\u201c\u201d\u2018\u2019*_. "
_DIRECTION = re.compile(r"\b(?:(north|south)(?:[ -]?(east|west))?|(east|west))(?:wards?)?\b")
_ARTICLE = re.compile(r"^(?:the|an?)\s+", re.IGNORECASE)

BREADTH = 3
"""Places from which a way to the goal is looked for; each costs eight questions."""


@dataclass(frozen=True)
class Turn:
    """One single question and the model's reply."""

    asked: Single
    prompt: str
    reply: Generated


Dialogue = Generator[Sequence[Single], Sequence[Turn], Turn | None]
"""Yields questions, is sent their turns, returns the one whose reply answers the whole, None where none does."""


def entity(text: str) -> str:
    """The name that a free answer gives: up to the end of a sentence or part, without quotes or a leading article."""
    return _ARTICLE.sub("", _END.split(text.strip().lstrip(_AROUND), maxsplit=1)[0].strip(_AROUND)).strip()


def relay(hops: Sequence[Hop]) -> Dialogue:
    """Ask hop after hop, each with the answer to the one before it; an empty answer ends it."""
    name, turn = "", None
    for hop in hops:
        (turn,) = yield [hop.ask(name)]
        name = entity(turn.reply.text)
        if not name:
            return None
    return turn


def first_place(start: str, goal: str) -> Dialogue:
    """Look for the place between two that are no neighbours, on the map that the model has in its answers.

    It is asked for the place in every direction of the start, and back for the direction of each place that it named.
    Around the `BREADTH` best of them it is asked the same; of those around which it names the goal, the best is taken.
    A step is better when the direction that is given for it is one in which it was named, then when it was named more
    often.
    """
    around = yield [adjacent(start, way) for way in DIRECTIONS]
    claims = _claims(around, {normalise(start), normalise(goal)})
    if not claims:
        return None
    names = {place: entity(turns[0].reply.text) for place, turns in claims.items()}
    back = yield [direction(start, name) for name in names.values()]
    there = {place: _trust(names[place], around, turn) for place, turn in zip(claims, back, strict=True)}
    tried = sorted(claims, key=there.__getitem__, reverse=True)[:BREADTH]
    onward = yield [adjacent(names[place], way) for place in tried for way in DIRECTIONS]
    steps = {place: onward[i * len(DIRECTIONS) : (i + 1) * len(DIRECTIONS)] for i, place in enumerate(tried)}
    arriving = [place for place in tried if _ways_to(goal, steps[place])]
    if not arriving:
        return None
    back = yield [direction(names[place], goal) for place in arriving]
    on = {place: _trust(goal, steps[place], turn) for place, turn in zip(arriving, back, strict=True)}
    best = max(arriving, key=lambda place: (there[place][0] + on[place][0], there[place][1] * on[place][1]))
    return claims[best][0]


def _trust(place: str, around: Sequence[Turn], back: Turn) -> tuple[bool, int]:
    """Whether a place was named in the direction that is given for it, and in how many directions it was named."""
    ways = _ways_to(place, around)
    return spoken_direction(back.reply.text) in ways, len(ways)


def spoken_direction(text: str) -> str | None:
    """The first of the eight directions that an answer names: ``northeast``, ``north-east``, ``to the north east``."""
    found = _DIRECTION.search(text.lower())
    return "".join(part for part in found.groups() if part) if found else None


def _claims(turns: Sequence[Turn], beside: set[str]) -> dict[str, list[Turn]]:
    """The turns by the place that they name, normalised, but for some places; in the order of the first ones."""
    found: dict[str, list[Turn]] = {}
    for turn in turns:
        place = normalise(entity(turn.reply.text))
        if place and place not in beside:
            found.setdefault(place, []).append(turn)
    return found


def _ways_to(place: str, turns: Sequence[Turn]) -> list[str]:
    """The directions in which a place was named; ``turns`` has one for each, in their order."""
    pairs = zip(DIRECTIONS, turns, strict=True)
    return [way for way, turn in pairs if normalise(entity(turn.reply.text)) == normalise(place)]


def dialogue_of(question: Question) -> Dialogue:
    """How a composed question is asked in steps."""
    if question.relation == WAY:
        told = slots_of(question)
        return first_place(told["start"], told["goal"])
    return relay(hops_of(question))
