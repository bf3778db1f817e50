"""What a spatial episode shows: a walk from place to place, read from its ``details``.

{"places": ["mill", "chapel"], "directions": ["north"], "minutes": [4], "reached": true}
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from pipeline.errors import StoreError
from pipeline.stores.episode import Episode


@dataclass(frozen=True)
class Walk:
    """One walk.

    Attributes:
        places: Every place on the way, both ends included; at least two.
        directions: Of each step, for example ``north``.
        minutes: Walking time of each step.
        reached: Whether it came to its end; of a walk that did not, no step is learned.
        episode_id: The episode that tells of it.
    """

    places: tuple[str, ...]
    directions: tuple[str, ...]
    minutes: tuple[float, ...]
    reached: bool
    episode_id: str = ""

    @property
    def steps(self) -> tuple[tuple[str, str, str, float], ...]:
        """(start, goal, direction, minutes) of every step."""
        return tuple(zip(self.places, self.places[1:], self.directions, self.minutes, strict=False))

    @property
    def cost(self) -> float:
        """Minutes in all."""
        return sum(self.minutes)


def walk_of(episode: Episode) -> Walk:
    """The walk that an episode tells of.

    Raises:
        StoreError: Its details are no walk; the message says what is wrong.
    """
    try:
        shown = json.loads(episode.details)
        walk = Walk(
            places=tuple(_texts(shown["places"])),
            directions=tuple(_texts(shown["directions"])),
            minutes=tuple(float(minutes) for minutes in shown["minutes"]),
            reached=bool(shown.get("reached", True)),
            episode_id=episode.episode_id,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _bad(episode, f"{type(error).__name__}: {error}") from None
    if len(walk.places) < 2 or not len(walk.directions) == len(walk.minutes) == len(walk.places) - 1:
        raise _bad(
            episode,
            f"{len(walk.places)} places, {len(walk.directions)} directions and {len(walk.minutes)} times; "
            "expected two or more places, and one direction and one time for each step",
        )
    if not all(math.isfinite(minutes) and minutes > 0 for minutes in walk.minutes):
        raise _bad(episode, f"times {walk.minutes}; expected minutes above 0")
    return walk


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) and value.strip() for value in values):
        raise ValueError(f"expected a list of names, found {values!r}")
    return values


def _bad(episode: Episode, why: str) -> StoreError:
    return StoreError(
        f"the spatial store cannot read the details of episode {episode.episode_id!r} ({why}); expected JSON such as "
        '{"places": ["mill", "chapel"], "directions": ["north"], "minutes": [4], "reached": true}'
    )
