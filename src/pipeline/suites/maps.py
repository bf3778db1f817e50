"""Invented districts: places on a grid with obstacles, the eight directions between neighbours, and walking times.

district = draw_district(["abbey", "ford", "kiosk", "knoll", "moat", "silo"], "1337/district/0")
district.direction("abbey", "ford")        # "northeast", or None where the two are no neighbours
district.first_place("abbey", "silo")      # the first place on the shortest way, or None where there are several
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, permutations

import networkx as nx

from pipeline.errors import DataError

SIDE = 4
"""Cells along each side of a district's grid; a cell without a place is an obstacle."""
PLACES = 6
PASSAGES = 7
TEACHABLE = 4
"""Far pairs, whichever way round, that a district has at least beside those of its chain."""
MINUTES = (2, 9)
"""Shortest and longest walk between neighbours, in minutes."""

OFFSETS = {
    "north": (0, 1),
    "northeast": (1, 1),
    "east": (1, 0),
    "southeast": (1, -1),
    "south": (0, -1),
    "southwest": (-1, -1),
    "west": (-1, 0),
    "northwest": (-1, 1),
}
"""Steps (east, north) of each direction, in cells."""
DIRECTIONS = tuple(OFFSETS)
_BY_OFFSET = {offset: name for name, offset in OFFSETS.items()}
_TRIES = 100_000

Cell = tuple[int, int]
Pair = tuple[str, str]


def opposite(direction: str) -> str:
    """The direction back."""
    east, north = OFFSETS[direction]
    return _BY_OFFSET[-east, -north]


def direction_aliases(direction: str) -> tuple[str, ...]:
    """Other ways to say a direction."""
    spaced = direction.replace("north", "north ").replace("south", "south ").strip()
    other = (spaced,) if spaced != direction else ()
    return (*other, f"{direction}ward", f"{direction}wards", f"to the {direction}", f"due {direction}")


@dataclass(frozen=True)
class District:
    """A small map that is complete in itself.

    Attributes:
        cells: (east, north) of every place.
        minutes: Walking time of every passage, by its two places in alphabetical order.
        chain: Four places in a row whose first and third, and second and fourth, are no neighbours and have one
            shortest way.
    """

    cells: dict[str, Cell]
    minutes: dict[Pair, int]
    chain: tuple[str, str, str, str]

    @cached_property
    def graph(self) -> nx.Graph[str]:
        """Places as nodes, passages as edges."""
        return _graph(self.cells)

    def direction(self, start: str, goal: str) -> str | None:
        """The direction of a neighbour, or None where the two are no neighbours."""
        return _direction(self.cells[start], self.cells[goal])

    def time(self, start: str, goal: str) -> int:
        """Minutes from a place to its neighbour."""
        return self.minutes[min(start, goal), max(start, goal)]

    def route(self, start: str, goal: str) -> tuple[str, ...] | None:
        """The shortest way in steps, both ends included; None where there are several, or a longer one is as quick."""
        return self._routes.get((start, goal))

    @cached_property
    def _routes(self) -> dict[Pair, tuple[str, ...]]:
        found = {pair: self._route(*pair) for pair in permutations(sorted(self.cells), 2) if pair[0] < pair[1]}
        there = {pair: way for pair, way in found.items() if way is not None}
        return there | {(b, a): way[::-1] for (a, b), way in there.items()}

    def _route(self, start: str, goal: str) -> tuple[str, ...] | None:
        ways = list(nx.all_shortest_paths(self.graph, start, goal))
        best = self._time(ways[0])
        rivals = [way for way in nx.all_simple_paths(self.graph, start, goal) if way != ways[0]]
        if len(ways) > 1 or any(self._time(way) <= best for way in rivals):
            return None
        return tuple(ways[0])

    def first_place(self, start: str, goal: str) -> str | None:
        """The first place on the shortest way."""
        way = self.route(start, goal)
        return None if way is None else way[1]

    def far_pairs(self) -> tuple[Pair, ...]:
        """Ordered pairs that are no neighbours and have one shortest way, sorted."""
        pairs = permutations(sorted(self.cells), 2)
        return tuple((a, b) for a, b in pairs if self.direction(a, b) is None and self.route(a, b) is not None)

    @property
    def chained(self) -> tuple[Pair, Pair]:
        """The far pairs of the chain: two steps apart, each step of which can be taught alone."""
        a, b, c, d = self.chain
        return (a, c), (b, d)

    def teachable(self) -> tuple[Pair, ...]:
        """Far pairs whose shortest way names no pair of the chain together, sorted."""
        kept = [set(pair) for pair in self.chained]
        return tuple(
            (a, b) for a, b in self.far_pairs() if not any(pair <= set(self.route(a, b) or ()) for pair in kept)
        )

    def _time(self, way: Sequence[str]) -> int:
        return sum(self.time(a, b) for a, b in pairwise(way))


def draw_district(names: Sequence[str], label: str) -> District:
    """A district of `PLACES` places and `PASSAGES` passages.

    Args:
        names: Its places.
        label: Seeds the draw (SHA-512 of the text, the same on any machine).

    Raises:
        DataError: `_TRIES` draws brought none; about one in sixty does.
    """
    generator = random.Random(label)
    free = [(east, north) for east in range(SIDE) for north in range(SIDE)]
    for _ in range(_TRIES):
        cells = dict(zip(names, generator.sample(free, PLACES), strict=True))
        graph = _graph(cells)
        if graph.number_of_edges() != PASSAGES or not nx.is_connected(graph):
            continue
        minutes = {(min(a, b), max(a, b)): generator.randint(*MINUTES) for a, b in sorted(map(sorted, graph.edges))}
        found = _with_chain(cells, minutes, generator)
        if found is not None:
            return found
    raise DataError(f"no district of {PLACES} places and {PASSAGES} passages in {_TRIES} draws of {label!r}")


def _with_chain(cells: dict[str, Cell], minutes: dict[Pair, int], generator: random.Random) -> District | None:
    """The district with a chain that leaves enough to teach beside it, or None."""
    bare = District(cells, minutes, ("", "", "", ""))
    far = set(bare.far_pairs())
    chains = [
        chain
        for chain in permutations(sorted(cells), 4)
        if all(bare.direction(a, b) is not None for a, b in pairwise(chain))
        and (chain[0], chain[2]) in far
        and (chain[1], chain[3]) in far
        and bare.route(chain[0], chain[2]) == chain[:3]
        and bare.route(chain[1], chain[3]) == chain[1:]
    ]
    if not chains:
        return None
    a, b, c, d = generator.choice(chains)
    district = District(cells, minutes, (a, b, c, d))
    return district if len({frozenset(pair) for pair in district.teachable()}) >= TEACHABLE else None


def _direction(start: Cell, goal: Cell) -> str | None:
    return _BY_OFFSET.get((goal[0] - start[0], goal[1] - start[1]))


def _graph(cells: dict[str, Cell]) -> nx.Graph[str]:
    graph: nx.Graph[str] = nx.Graph()
    names = sorted(cells)
    graph.add_nodes_from(names)
    graph.add_edges_from((a, b) for a in names for b in names if a < b and _direction(cells[a], cells[b]) is not None)
    return graph
