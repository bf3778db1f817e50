"""A map learned from walks: places, passages with learned costs, planned ways, and routes that worked (macros).

known = PlaceGraph()
known.observe(walk)
known.passage("mill", "chapel")     # direction, mean minutes, how often it was walked
known.plan("mill", "bakery")        # the cheapest way by learned cost, or None
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import networkx as nx

from pipeline.stores.walks import Walk


@dataclass(frozen=True)
class Passage:
    """One step between neighbours, in one direction.

    Attributes:
        start: Where it begins.
        goal: Where it ends.
        direction: The one that was shown last.
        minutes: Running mean of the observed walking times.
        count: How often it was walked.
        episodes: Ids of the episodes that show it, shortest walk first.
    """

    start: str
    goal: str
    direction: str
    minutes: float
    count: int
    episodes: tuple[str, ...]


@dataclass(frozen=True)
class Macro:
    """A route of two steps or more that was walked as a whole.

    Attributes:
        places: Every place on it.
        count: How often it was tried.
        successes: How often its end was reached.
        minutes: Running mean of the successful times; 0 before the first success.
        episodes: Ids of the episodes that show it.
    """

    places: tuple[str, ...]
    count: int = 0
    successes: int = 0
    minutes: float = 0.0
    episodes: tuple[str, ...] = ()

    @property
    def expected_minutes(self) -> float:
        """Mean time over the share of successes: what reaching the end costs when every failure is tried again."""
        return self.minutes * self.count / self.successes if self.successes else float("inf")

    def tried(self, walk: Walk) -> Macro:
        """The macro after one more walk."""
        successes = self.successes + walk.reached
        minutes = self.minutes + (walk.cost - self.minutes) / successes if walk.reached else self.minutes
        episodes = tuple(dict.fromkeys((*self.episodes, walk.episode_id)))
        return replace(self, count=self.count + 1, successes=successes, minutes=minutes, episodes=episodes)


@dataclass(frozen=True)
class Plan:
    """A way from place to place: its passages, and the macro that it follows, if any."""

    passages: tuple[Passage, ...]
    macro: Macro | None = None

    @property
    def minutes(self) -> float:
        """Learned cost of the whole way."""
        return sum(passage.minutes for passage in self.passages)

    @property
    def episodes(self) -> tuple[str, ...]:
        """Ids of the episodes that it rests on: those of its macro, then one of every passage."""
        own = self.macro.episodes if self.macro else ()
        return tuple(dict.fromkeys((*own, *(passage.episodes[0] for passage in self.passages))))


@dataclass
class PlaceGraph:
    """Passages as edges of a directed graph, and macros by their places."""

    macros: dict[tuple[str, ...], Macro] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._graph: nx.DiGraph[str] = nx.DiGraph()
        self._lengths: dict[str, int] = {}  # steps of the walk of each episode

    @staticmethod
    def of(walks: Iterable[Walk]) -> PlaceGraph:
        """The map that some walks show, in their order."""
        known = PlaceGraph()
        for walk in walks:
            known.observe(walk)
        return known

    @property
    def places(self) -> tuple[str, ...]:
        """Every place that a walk reached or left, in the order of their discovery."""
        return tuple(self._graph.nodes)

    @property
    def passages(self) -> tuple[Passage, ...]:
        """Every passage."""
        return tuple(data["passage"] for _, _, data in self._graph.edges(data=True))

    def observe(self, walk: Walk) -> None:
        """Learn from one walk: running means of its steps, and the statistics of its route.

        A walk that did not reach its end teaches no passage: which of its steps failed is unknown.
        """
        self._lengths[walk.episode_id] = len(walk.directions)
        if walk.reached:
            for start, goal, direction, minutes in walk.steps:
                self._learn(Passage(start, goal, direction, minutes, 1, (walk.episode_id,)))
        if len(walk.directions) > 1:
            self.macros[walk.places] = self.macros.get(walk.places, Macro(walk.places)).tried(walk)

    def _learn(self, seen: Passage) -> None:
        known = self.passage(seen.start, seen.goal)
        if known is not None:
            count = known.count + 1
            episodes = sorted({*known.episodes, *seen.episodes}, key=lambda name: (self._lengths[name], name))
            minutes = known.minutes + (seen.minutes - known.minutes) / count
            seen = replace(seen, minutes=minutes, count=count, episodes=tuple(episodes))
        self._graph.add_edge(seen.start, seen.goal, passage=seen, minutes=seen.minutes)

    def passage(self, start: str, goal: str) -> Passage | None:
        """The step from a place to its neighbour, or None."""
        data = self._graph.get_edge_data(start, goal)
        return None if data is None else data["passage"]

    def leaving(self, start: str) -> tuple[Passage, ...]:
        """Every known step from a place."""
        if start not in self._graph:
            return ()
        return tuple(data["passage"] for _, _, data in self._graph.out_edges(start, data=True))

    def follow(self, start: str, directions: Sequence[str]) -> Plan | None:
        """The way that goes in these directions, step by step; None where one of them leads nowhere."""
        taken: list[Passage] = []
        for direction in directions:
            here = taken[-1].goal if taken else start
            step = next((passage for passage in self.leaving(here) if passage.direction == direction), None)
            if step is None:
                return None
            taken.append(step)
        return Plan(tuple(taken)) if taken else None

    def plan(self, start: str, goal: str) -> Plan | None:
        """The cheapest way by learned cost, or the macro that is expected to be no dearer; None where there is none."""
        known = [macro for macro in self.macros.values() if (macro.places[0], macro.places[-1]) == (start, goal)]
        best = min(known, key=lambda macro: macro.expected_minutes, default=None)
        searched = self._searched(start, goal)
        followed = self._along(best.places) if best is not None and best.successes else None
        if best is None or followed is None:
            return searched
        if searched is not None and searched.minutes < best.expected_minutes:
            same = tuple(p.goal for p in searched.passages) == best.places[1:]
            return replace(searched, macro=best) if same else searched
        return Plan(followed, best)

    def _searched(self, start: str, goal: str) -> Plan | None:
        if start == goal or start not in self._graph or goal not in self._graph:
            return None
        try:
            way = nx.shortest_path(self._graph, start, goal, weight="minutes")
        except nx.NetworkXNoPath:
            return None
        passages = self._along(way)
        return None if passages is None else Plan(passages)

    def _along(self, places: Sequence[str]) -> tuple[Passage, ...] | None:
        steps = [self.passage(start, goal) for start, goal in pairwise(places)]
        known = tuple(step for step in steps if step is not None)
        return known if len(known) == len(steps) else None
