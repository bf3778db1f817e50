"""Chains of relations for the relational suite: a purchase at a store, the store in a city, the city in a country.

Entities are invented and drawn from shuffled decks. As in `pipeline.suites.events`, chain *i* depends on the seed and
on the chains before it, never on how many follow.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import yaml

from pipeline.suites.decks import Deck
from pipeline.suites.events import PIN_SHARE, REWARD_SHARE, fill
from pipeline.suites.vocabulary import vocabulary, with_article

HOPS = ("person_store", "store_city", "city_country")
JOINS = {"join_city": 1, "join_country": 2}
"""What a join asks for: the tail of this hop, counted from 0, given the person of hop 0."""
STEPS = {"steps_city": 1, "steps_country": 2}
"""The same with every step in the answer: store, city and, at the end of a longer chain, country."""
DEMONSTRATED = 4
"""One chain in so many is trained to be told in steps, and asked for no join; what it shows is the way of answering."""
NEWEST = "newest/"
"""Begins the name of every form that asks for a corrected relation."""
_CORRECTED = ("person_store", "store_city")  # a city does not move to another country
_LABELS = {"person_store": "bought at", "store_city": "is in", "city_country": "is in"}
_PARTS = {"person": ("first", "last"), "store": ("store_head", "store_tail"), "city": ("city_head", "city_tail")}
_TAUGHT_SHARE = 0.6
_DIVIDED = ("first", "last", "store_head", "city_head")  # slots whose values taught and untaught entities share out


@cache
def relational_vocabulary() -> dict[str, tuple[str, ...]]:
    """The words that entities are made of, by slot."""

    def words(name: str) -> tuple[str, ...]:
        text = files(__package__).joinpath("data", "relational", f"{name}.txt").read_text(encoding="utf-8")
        return tuple(word for line in text.splitlines() if not line.startswith("#") for word in line.split())

    own = {"last": "last_names", "country": "countries", "store_head": "store_heads", "store_tail": "store_tails"}
    own |= {"city_head": "city_heads", "city_tail": "city_tails"}
    return {"first": vocabulary()["first"], "thing": vocabulary()["thing"]} | {
        slot: words(name) for slot, name in own.items()
    }


@cache
def wordings() -> dict[str, dict[str, list[str]]]:
    """How each relation is told, plainly and as a correction."""
    source = files(__package__).joinpath("data", "relational", "wordings.yaml")
    found: dict[str, dict[str, list[str]]] = yaml.safe_load(source.read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True)
class Hop:
    """One relation: its head names whom or what questions are about, its tail answers them.

    Attributes:
        id: Of the fact.
        relation: One of `HOPS`.
        head: Both halves of the head's name.
        tail: What answers.
        thing: What was bought; empty for places.
        wording: Template of the text.
    """

    id: str
    relation: str
    head: tuple[str, str]
    tail: str
    thing: str
    wording: str

    @property
    def subject(self) -> str:
        """The head's full name."""
        return " ".join(self.head)

    @property
    def label(self) -> str:
        """The edge's label in the graph."""
        return _LABELS[self.relation]

    @property
    def tail_kind(self) -> str:
        """What the tail is: a store, a city or a country."""
        return self.relation.split("_")[1]

    @property
    def text(self) -> str:
        """The relation as it was told."""
        return fill(self.wording, self.slots())

    def slots(self) -> dict[str, str]:
        """Every slot that a template may name."""
        head, tail = self.relation.split("_")
        named = {head: self.subject, tail: self.tail}
        if self.thing:
            named |= {"thing": self.thing, "a_thing": with_article(self.thing), "the_thing": f"the {self.thing}"}
        return named


@dataclass(frozen=True)
class Join:
    """A question over several hops: it names the person and the thing, and asks for tails of later hops."""

    relation: str
    start: Hop

    def slots(self) -> dict[str, str]:
        """Those of the first hop, without its answer."""
        return {name: value for name, value in self.start.slots().items() if name != "store"}


@dataclass(frozen=True)
class Chain:
    """One taught chain with everything that belongs to it.

    Attributes:
        hops: Two or three taught relations, each from the tail of the one before.
        before: What was first stated of one of them, and is corrected; None for most chains.
        twin: A matched chain of entities that are never taught.
        near_miss: Each hop with half of its head's name changed; none of them happened.
        conflict: Each hop with another tail.
        new: Relations of outsiders that are read from memory and never trained.
        reward: Whether the chain was rewarding.
        pin: Whether a user pinned it.
        demonstrates: Whether it is trained to be told in steps.
    """

    hops: tuple[Hop, ...]
    before: Hop | None
    twin: tuple[Hop, ...]
    near_miss: tuple[Hop, ...]
    conflict: tuple[Hop, ...]
    new: tuple[Hop, ...]
    reward: bool
    pin: bool
    demonstrates: bool

    @property
    def join(self) -> str:
        """Which of `JOINS` goes over the whole chain."""
        return next(name for name, last in JOINS.items() if last == len(self.hops) - 1)

    @property
    def steps(self) -> str:
        """Which of `STEPS` goes over the whole chain."""
        return next(name for name, last in STEPS.items() if last == len(self.hops) - 1)


class ChainGenerator:
    """Deals chains for one seed; no name of a person, store or city ever occurs in two roles.

    Args:
        seed: Of every draw.
        contradictions: Share of chains with a corrected statement, in tenths.
    """

    def __init__(self, seed: int, contradictions: float) -> None:
        self._seed = seed
        self._decks: dict[tuple[str, str], Deck[str]] = {}
        self._names: set[str] = set()
        self._pools = {slot: self._divided(slot) for slot in _DIVIDED}
        self._lengths = Deck((2, 3), f"{seed}/chain/length")
        self._corrected = Deck(_CORRECTED, f"{seed}/chain/corrected")
        shares = {"reward": REWARD_SHARE, "pin": PIN_SHARE, "contradiction": (round(10 * contradictions), 10)}
        self._flags = {
            name: Deck([i < some for i in range(of)], f"{seed}/chain/{name}") for name, (some, of) in shares.items()
        }
        self._count = 0

    def _divided(self, slot: str) -> dict[str, tuple[str, ...]]:
        values = list(relational_vocabulary()[slot])
        random.Random(f"{self._seed}/chain/{slot}/pools").shuffle(values)
        taught = round(_TAUGHT_SHARE * len(values))
        return {"taught": tuple(values[:taught]), "outsider": tuple(values[taught:])}

    def _deck(self, slot: str, role: str) -> Deck[str]:
        key = (slot, role)
        if key not in self._decks:
            values = self._pools[slot][role] if slot in self._pools else relational_vocabulary()[slot]
            self._decks[key] = Deck(values, "/".join((str(self._seed), "chain", *key)))
        return self._decks[key]

    def _name(self, kind: str, role: str) -> tuple[str, str]:
        """An unused name of a person, store or city."""
        head, tail = _PARTS[kind]
        first = self._deck(head, role).draw()
        last = self._deck(tail, role).draw(lambda last: f"{first} {last}" not in self._names)
        self._names.add(f"{first} {last}")
        return first, last

    def _wording(self, relation: str, how: str = "told") -> str:
        key = (f"{relation}/{how}", "wording")
        if key not in self._decks:
            self._decks[key] = Deck(wordings()[relation][how], "/".join((str(self._seed), "chain", *key)))
        return self._decks[key].draw()

    def _hops(self, identity: str, length: int, role: str) -> tuple[Hop, ...]:
        """A chain of unused entities."""
        names = [self._name(kind, role) for kind in ("person", "store", "city")[:length]]
        last = " ".join(self._name("city", role)) if length == 2 else self._deck("country", role).draw()
        tails = [*(" ".join(name) for name in names[1:]), last]
        return tuple(
            Hop(
                f"{identity}-{number + 1}",
                relation,
                head,
                tail,
                self._deck("thing", role).draw() if number == 0 else "",
                self._wording(relation),
            )
            for number, (relation, head, tail) in enumerate(zip(HOPS, names, tails, strict=False))
        )

    def _other_tail(self, hop: Hop) -> str:
        """A tail of the same kind that the suite teaches nothing of."""
        if hop.tail_kind == "country":
            return self._deck("country", "conflict").draw(lambda country: country != hop.tail)
        return " ".join(self._name(hop.tail_kind, "outsider"))

    def _near_miss(self, hop: Hop, turn: int) -> Hop:
        """The hop with one half of its head's name changed, in turn."""
        kind, half = hop.relation.split("_")[0], turn % 2

        def named(part: str) -> tuple[str, str]:
            return (part, hop.head[1]) if half == 0 else (hop.head[0], part)

        role = "outsider" if _PARTS[kind][half] in self._pools else "near_miss"
        part = self._deck(_PARTS[kind][half], role).draw(lambda part: " ".join(named(part)) not in self._names)
        self._names.add(" ".join(named(part)))
        return replace(hop, id=f"{hop.id}-near-miss", head=named(part))

    def _correction(self, hops: tuple[Hop, ...]) -> tuple[tuple[Hop, ...], Hop | None]:
        """The chain with one hop told as a correction, and what was stated before."""
        if not self._flags["contradiction"].draw():
            return hops, None
        relation = self._corrected.draw()
        number = HOPS.index(relation)
        right = replace(hops[number], wording=self._wording(relation, "corrected"))
        before = replace(hops[number], id=f"{right.id}-before", tail=self._other_tail(right))
        return (*hops[:number], right, *hops[number + 1 :]), before

    def chain(self) -> Chain:
        """Deal the next chain with its controls."""
        number = self._count
        self._count += 1
        identity, length = f"r{number:04d}", self._lengths.draw()
        hops, before = self._correction(self._hops(identity, length, "taught"))
        twin = self._hops(f"{identity}-untaught", length, "outsider")
        return Chain(
            hops=hops,
            before=before,
            twin=twin,
            near_miss=tuple(self._near_miss(hop, number + i) for i, hop in enumerate(hops)),
            conflict=tuple(replace(hop, id=f"{hop.id}-conflict", tail=self._other_tail(hop)) for hop in hops),
            new=self._hops(f"{identity}-new", length, "outsider"),
            reward=self._flags["reward"].draw(),
            pin=self._flags["pin"].draw(),
            demonstrates=number % DEMONSTRATED == DEMONSTRATED - 1,
        )


def chains(n: int, seed: int, contradictions: float) -> tuple[Chain, ...]:
    """The first ``n`` chains of a seed."""
    generator = ChainGenerator(seed, contradictions)
    return tuple(generator.chain() for _ in range(n))


def answer_counts() -> dict[str, int]:
    """How many different answers each relation draws from."""
    words = {slot: len(values) for slot, values in relational_vocabulary().items()}
    stores, cities = (
        round(_TAUGHT_SHARE * words[f"{kind}_head"]) * words[f"{kind}_tail"] for kind in ("store", "city")
    )
    sizes = {"person_store": stores, "store_city": cities, "city_country": words["country"]}
    return sizes | {"join_city": cities, "join_country": words["country"]} | dict.fromkeys(STEPS, stores)
