"""Walks dealt district by district, each with its twin and its controls.

A district is complete: ten walks show all of its passages and three of its longer ways. District *i* depends on the
seed and on the districts before it, never on how many follow; so every size of a suite is a prefix of every larger
one, and sizes that are multiples of `WALKS` hold whole districts alone.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

from pipeline.errors import DataError
from pipeline.suites.decks import Deck
from pipeline.suites.events import PIN_SHARE, REWARD_SHARE
from pipeline.suites.maps import DIRECTIONS, MINUTES, PLACES, District, Pair, draw_district
from pipeline.suites.walks import RELATIONS, Walk, direction_between, place_names, walk_over, wordings

DISTRICT_RELATIONS = ("adjacent",) * 3 + ("direction",) * 4 + ("next_step",) * 3
"""What the taught walks of a district are asked: neighbours, directions, and first places of longer ways."""
WALKS = len(DISTRICT_RELATIONS)
DISTRACTORS_PER_BLOCK = 4


@dataclass(frozen=True)
class Block:
    """One taught walk with everything that belongs to it.

    Attributes:
        taught: The walk that is stored, trained and scored.
        distractors: Other walks between the same places, `DISTRACTORS_PER_BLOCK` of them: the way back, the same way
            on another day, the way back once more, and a walk that was given up.
        twin: A walk of the same kind in a district that is never taught.
        near_miss: The taught walk with one of its places, or its direction, changed; it never happened.
        conflict: The taught walk with another answer.
        reward: Whether the taught walk was rewarding.
        pin: Whether a user pinned it.
    """

    taught: Walk
    distractors: tuple[Walk, ...]
    twin: Walk
    near_miss: Walk
    conflict: Walk
    reward: bool
    pin: bool


@dataclass(frozen=True)
class Dealt:
    """One district with its ten blocks, and the far pairs of places that no taught walk joins."""

    district: District
    blocks: tuple[Block, ...]
    unseen: tuple[Pair, ...]


def taught_names(seed: int) -> tuple[str, ...]:
    """The half of the names that taught places can bear; the other half belongs to places that are never taught."""
    return _halves(seed)[0]


def _halves(seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = list(place_names())
    random.Random(f"{seed}/places").shuffle(names)
    return tuple(names[: len(names) // 2]), tuple(names[len(names) // 2 :])


class _World:
    """One sort of districts, taught ones or twins: no two of them share a name, directions are near-uniform."""

    def __init__(self, names: tuple[str, ...], label: str) -> None:
        self._names = names
        self._label = label
        self._asked: Counter[str] = Counter()
        self._wordings = {kind: Deck(wordings()[kind], f"{label}/{kind}") for kind in ("edge", "route")}
        self._count = 0

    def next(self, prefix: str) -> tuple[District, list[Walk], tuple[Pair, ...]]:
        """A district, its ten walks in the order of `DISTRICT_RELATIONS`, and its unseen pairs."""
        first = self._count * PLACES
        if first + PLACES > len(self._names):
            raise DataError(
                f"the spatial generator has {len(self._names)} names for taught places, {PLACES} a district of "
                f"{WALKS} facts; ask for suite.n of at most {len(self._names) // PLACES * WALKS}"
            )
        label = f"{self._label}/{self._count}"
        district = draw_district(self._names[first : first + PLACES], label)
        self._count += 1
        generator = random.Random(f"{label}/walks")
        chain = district.chain
        steps = list(pairwise(chain))
        routes, spare = _routes(district, generator)
        ways: list[tuple[str, ...]] = [*steps, *self._oriented(district, steps, generator), *routes]
        walks = [self._walk(f"{prefix}-{i}", relation, way, district) for i, (relation, way) in _numbered(ways)]
        return district, walks, (*district.chained, *spare)

    def _oriented(self, district: District, shown: list[Pair], generator: random.Random) -> list[Pair]:
        """The passages that the chain does not show, each in the direction that was asked least so far."""
        known = {frozenset(pair) for pair in shown}
        open_ = [pair for pair in sorted(district.minutes) if frozenset(pair) not in known]
        generator.shuffle(open_)
        chosen = []
        for a, b in open_:
            way = min(((a, b), (b, a)), key=lambda pair: self._asked[direction_between(district, pair)])
            self._asked[direction_between(district, way)] += 1
            chosen.append(way)
        return chosen

    def _walk(self, identity: str, relation: str, way: tuple[str, ...], district: District) -> Walk:
        wording = self._wordings["edge" if len(way) == 2 else "route"].draw()
        return walk_over(district, identity, relation, way, wording)


def _numbered(ways: list[tuple[str, ...]]) -> list[tuple[int, tuple[str, tuple[str, ...]]]]:
    return list(enumerate(zip(DISTRICT_RELATIONS, ways, strict=True)))


def _routes(district: District, generator: random.Random) -> tuple[list[tuple[str, ...]], tuple[Pair, ...]]:
    """Three shortest ways to teach, with different first places if possible, and a pair that none of them names."""
    pairs = list(district.teachable())
    generator.shuffle(pairs)
    routes: list[tuple[str, ...]] = []
    firsts: Counter[str] = Counter()
    while len(routes) < DISTRICT_RELATIONS.count("next_step"):
        ways = [way for pair in pairs if (way := district.route(*pair)) is not None]
        way = min(ways, key=lambda way: firsts[way[1]])
        firsts[way[1]] += 1
        routes.append(way)
        pairs = [pair for pair in pairs if set(pair) != {way[0], way[-1]}]
    spare = [pair for pair in pairs if not any(set(pair) <= set(way) for way in routes)]
    return routes, tuple(spare[:1])


class DistrictGenerator:
    """Deals districts for one seed."""

    def __init__(self, seed: int) -> None:
        """Args: the seed of the suite; the same seed gives the same districts."""
        self._seed = seed
        taught, outsiders = _halves(seed)
        self._worlds = {"taught": _World(taught, f"{seed}/taught"), "twin": _World(outsiders, f"{seed}/twin")}
        self._strangers = Deck(outsiders, f"{seed}/stranger")
        self._flags = {
            name: Deck([i < some for i in range(of)], f"{seed}/{name}")
            for name, (some, of) in {"reward": REWARD_SHARE, "pin": PIN_SHARE}.items()
        }
        self._count = 0

    def deal(self) -> Dealt:
        """The next district.

        Raises:
            DataError: There are no unused names left.
        """
        prefix = f"d{self._count:03d}"
        generator = random.Random(f"{self._seed}/controls/{self._count}")
        self._count += 1
        district, walks, unseen = self._worlds["taught"].next(prefix)
        _, twins, _ = self._worlds["twin"].next(f"{prefix}-twin")
        steps = [i for i, relation in enumerate(DISTRICT_RELATIONS) if relation != "next_step"]
        generator.shuffle(steps)
        order = [*steps, *(i for i in range(WALKS) if i not in steps)]  # longer ways join steps that are known by then
        blocks = [self._block(district, walks[i], twins[i], turn, generator) for turn, i in enumerate(order)]
        return Dealt(district, tuple(blocks), unseen)

    def _block(self, district: District, taught: Walk, twin: Walk, turn: int, generator: random.Random) -> Block:
        return Block(
            taught=taught,
            distractors=_distractors(district, taught, generator),
            twin=replace(twin, id=f"{taught.id}-untaught"),
            near_miss=self._near_miss(district, taught, turn, generator),
            conflict=self._conflict(taught, generator),
            reward=self._flags["reward"].draw(),
            pin=self._flags["pin"].draw(),
        )

    def _near_miss(self, district: District, taught: Walk, turn: int, generator: random.Random) -> Walk:
        walk = replace(taught, id=f"{taught.id}-near-miss")
        if taught.relation == "adjacent" and turn % 2:
            near = {direction_between(district, (taught.start, other)) for other in district.graph[taught.start]}
            other = generator.choice([name for name in DIRECTIONS if name not in near])
            return replace(walk, directions=(other, *walk.directions[1:]))
        stranger = self._strangers.draw()
        if taught.relation == "adjacent" or turn % 2:
            return replace(walk, places=(stranger, *walk.places[1:]))
        return replace(walk, places=(*walk.places[:-1], stranger))

    def _conflict(self, taught: Walk, generator: random.Random) -> Walk:
        walk = replace(taught, id=f"{taught.id}-conflict")
        if taught.relation == "direction":
            other = generator.choice([name for name in DIRECTIONS if name != taught.answer])
            return replace(walk, directions=(other,))
        return replace(walk, places=(walk.start, self._strangers.draw(), *walk.places[2:]))


def _distractors(district: District, taught: Walk, generator: random.Random) -> tuple[Walk, ...]:
    told = wordings()
    kind = "edge" if len(taught.places) == 2 else "route"

    def walk(name: str, way: tuple[str, ...], wording: str) -> Walk:
        once = walk_over(district, f"{taught.id}-{name}", taught.relation, way, wording)
        return replace(once, minutes=tuple(max(MINUTES[0], m + generator.randint(-1, 2)) for m in once.minutes))

    there, back = taught.places, taught.places[::-1]
    wording = generator.choice(told[kind])
    again = told["again"].replace("{walk}", wording)
    failed = replace(walk("failed", there, told["failed"]), reached=False)
    return (walk("back", back, wording), walk("again", there, again), walk("back-again", back, again), failed)


def districts(n: int, seed: int) -> tuple[Dealt, ...]:
    """The districts of a seed that hold its first ``n`` walks.

    Raises:
        DataError: There are not enough names for so many.
    """
    generator = DistrictGenerator(seed)
    return tuple(generator.deal() for _ in range(-(-n // WALKS)))


def slot_sizes(seed: int) -> dict[str, int]:
    """How many different answers each relation draws from."""
    names = len(taught_names(seed))
    return {relation: len(DIRECTIONS) if relation == "direction" else names for relation in RELATIONS}
