"""Invented walks over invented maps: from place to place, in known directions and minutes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

import yaml

from pipeline.errors import DataError
from pipeline.suites.events import fill
from pipeline.suites.maps import District, Pair, direction_aliases

RELATIONS = ("direction", "adjacent", "next_step")


@dataclass(frozen=True)
class Walk:
    """One walk over a map, as it was made.

    Attributes:
        id: Unique within its session.
        relation: What its questions ask: ``direction``, ``adjacent`` or ``next_step``.
        places: Every place on the way, both ends included.
        directions: Of each step.
        minutes: Of each step.
        wording: The template of its text.
        reached: Whether the walk came to its end.
    """

    id: str
    relation: str
    places: tuple[str, ...]
    directions: tuple[str, ...]
    minutes: tuple[int, ...]
    wording: str
    reached: bool = True

    @property
    def start(self) -> str:
        """Where it begins."""
        return self.places[0]

    @property
    def goal(self) -> str:
        """Where it ends."""
        return self.places[-1]

    @property
    def answer(self) -> str:
        """What the walk's relation asks for."""
        return {"direction": self.directions[0], "adjacent": self.goal, "next_step": self.places[1]}[self.relation]

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other spellings of the answer; only directions have any."""
        return direction_aliases(self.answer) if self.relation == "direction" else ()

    @property
    def subject(self) -> str:
        """What the walk's questions name."""
        if self.relation == "adjacent":
            return f"{self.directions[0]} of the {self.start}"
        return f"{self.goal} from the {self.start}"

    def slots(self) -> dict[str, str]:
        """Every slot that a template may name."""
        return {
            "start": self.start,
            "goal": self.goal,
            "direction": self.directions[0],
            "next": self.places[1],
            "minutes": str(sum(self.minutes)),
            "legs": self._legs(),
        }

    def _legs(self) -> str:
        steps = zip(self.directions, self.places[1:], self.minutes, strict=True)
        told = [f"{direction} to the {place} ({minutes} minutes)" for direction, place, minutes in steps]
        return "go " + ", then ".join(told)

    @property
    def text(self) -> str:
        """The walk as it was experienced."""
        return fill(self.wording, self.slots())

    @property
    def details(self) -> str:
        """What a map reads of it, as JSON."""
        shown = {
            "places": self.places,
            "directions": self.directions,
            "minutes": self.minutes,
            "reached": self.reached,
        }
        return json.dumps(shown)


@cache
def place_names() -> tuple[str, ...]:
    """Every name that a place may bear."""
    text = files(__package__).joinpath("data", "spatial", "places.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


@cache
def wordings() -> dict[str, Any]:
    """How walks are told: templates of one step (``edge``) and more (``route``), of another day, of a failure."""
    text = files(__package__).joinpath("data", "spatial", "walks.yaml").read_text(encoding="utf-8")
    told: dict[str, Any] = yaml.safe_load(text)
    return told


def direction_between(district: District, pair: Pair) -> str:
    """The direction from a place to its neighbour.

    Raises:
        DataError: The two are no neighbours.
    """
    direction = district.direction(*pair)
    if direction is None:
        raise DataError(f"expected neighbours, found {pair[0]!r} and {pair[1]!r}")
    return direction


def walk_over(district: District, identity: str, relation: str, way: tuple[str, ...], wording: str) -> Walk:
    """A walk along the passages of a district."""
    steps = list(pairwise(way))
    directions = tuple(direction_between(district, pair) for pair in steps)
    return Walk(identity, relation, way, directions, tuple(district.time(a, b) for a, b in steps), wording)
