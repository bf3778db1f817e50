"""Invented events for the episodic suite: who did what, where and when, drawn from shuffled decks.

Events come in blocks. Block *i* belongs to item *i* and depends on the seed and on the blocks before it, never on
how many follow; so every size of a suite is a prefix of every larger one, and profiles differ in distractors alone.
After about 1,400 blocks the first last names have no unused pair left; from there on a deck that finds nothing unused
takes in more words (`more_vocabulary`), up to `LARGEST` blocks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import DataError
from pipeline.suites.decks import Deck
from pipeline.suites.vocabulary import Verb, day_aliases, more_vocabulary, verbs, vocabulary, with_article

RELATIONS = ("person_place", "person_thing", "person_day", "place_thing_person")
DISTRACTORS_PER_BLOCK = 4
LARGEST = 4000
"""Blocks for which any seed has unused names and scenes."""
REWARD_SHARE, PIN_SHARE = (3, 10), (1, 10)
_NAME_SHARES = {"taught": 0.5, "distractor": 0.25, "outsider": 0.25}
_MORE_NAME_SHARES = {"distractor": 2 / 3, "outsider": 1 / 3}  # half of the names make pairs enough for taught people


@dataclass(frozen=True)
class Event:
    """One person did one thing at one place on one day."""

    id: str
    relation: str
    first: str
    last: str
    verb: Verb
    thing: str
    place: str
    day: str
    wording: str

    @property
    def person(self) -> str:
        """The full name."""
        return f"{self.first} {self.last}"

    @property
    def answer(self) -> str:
        """What the event's relation asks for."""
        return {
            "person_place": self.place,
            "person_thing": self.thing,
            "person_day": self.day,
            "place_thing_person": self.person,
        }[self.relation]

    @property
    def subject(self) -> str:
        """What the event's questions name."""
        return f"{self.thing} at the {self.place}" if self.relation == "place_thing_person" else self.person

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other spellings of the answer; only days have any."""
        return day_aliases(self.day) if self.relation == "person_day" else ()

    def slots(self) -> dict[str, str]:
        """Every slot that a template may name."""
        return {
            "person": self.person,
            "first": self.first,
            "last": self.last,
            "place": self.place,
            "the_place": f"the {self.place}",
            "thing": self.thing,
            "a_thing": with_article(self.thing),
            "the_thing": f"the {self.thing}",
            "day": self.day,
            "verb": self.verb.past,
            "verb_base": self.verb.base,
            "verb_part": self.verb.participle,
            "verb_gerund": self.verb.gerund,
        }

    @property
    def text(self) -> str:
        """The event as it was experienced."""
        return fill(self.wording, self.slots())


@dataclass(frozen=True)
class Block:
    """One taught event with everything that belongs to it.

    Attributes:
        taught: The event that is stored, trained and scored.
        distractors: Events of other people in the same session, `DISTRACTORS_PER_BLOCK` of them.
        twin: A matched event of a person who is never taught.
        near_miss: The taught event with half a name changed (or half of its place and thing); it never happened.
        conflict: The taught event with another answer.
        new: An event of an outsider that is read from memory and never trained.
        reward: Whether the taught event was rewarding.
        pin: Whether a user pinned it.
    """

    taught: Event
    distractors: tuple[Event, ...]
    twin: Event
    near_miss: Event
    conflict: Event
    new: Event
    reward: bool
    pin: bool


def fill(template: str, slots: dict[str, str]) -> str:
    """Put the slots into a template and capitalise its first letter."""
    text = template.format_map(slots)
    return text[:1].upper() + text[1:]


class EventGenerator:
    """Deals blocks of events for one seed; nothing that names a subject ever occurs twice."""

    def __init__(self, seed: int) -> None:
        """Args: the seed of the suite; the same seed gives the same blocks."""
        self._seed = seed
        self._decks: dict[tuple[str, ...], Deck[str]] = {}
        self._verbs: dict[str, Deck[Verb]] = {}
        self._names: set[str] = set()
        self._pairs: set[tuple[str, str]] = set()
        words, more = vocabulary(), more_vocabulary()
        self._pools = {slot: self._split_names(slot, words[slot], _NAME_SHARES) for slot in ("first", "last")}
        self._more = {"last": self._split_names("more/last", more["last"], _MORE_NAME_SHARES)}
        self._relations = Deck(RELATIONS, f"{seed}/relation")
        self._flags = {
            name: Deck([i < some for i in range(of)], f"{seed}/{name}")
            for name, (some, of) in {"reward": REWARD_SHARE, "pin": PIN_SHARE}.items()
        }
        self._count = 0

    def _split_names(
        self, label: str, values: Sequence[str], shares: Mapping[str, float]
    ) -> dict[str, tuple[str, ...]]:
        names = list(values)
        random.Random(f"{self._seed}/{label}/pools").shuffle(names)
        pools, start = {}, 0
        for role, share in shares.items():
            end = start + round(share * len(names))
            pools[role] = tuple(names[start:end])
            start = end
        return pools

    def names_in_session(self, slot: str) -> tuple[str, ...]:
        """The first or last names that taught people and distractors can bear."""
        pools = (self._pools[slot], self._more.get(slot, {}))
        return tuple(name for pool in pools for role in ("taught", "distractor") for name in pool.get(role, ()))

    def _deal(
        self, slot: str, role: str, relation: str = "", accept: Callable[[str], bool] = lambda value: True
    ) -> str:
        """One value of a slot; every role, and every relation that asks for the slot, has its own deck."""
        key = (slot, role, relation)
        if key not in self._decks:
            values = self._pools[slot][role] if slot in self._pools else vocabulary()[slot]
            more = self._more[slot].get(role, ()) if slot in self._more else more_vocabulary().get(slot, ())
            self._decks[key] = Deck(values, "/".join((str(self._seed), *key)), more)
        return self._decks[key].draw(accept)

    def _name(self, role: str) -> tuple[str, str]:
        first = self._deal("first", role)
        last = self._deal("last", role, accept=lambda last: f"{first} {last}" not in self._names)
        self._names.add(f"{first} {last}")
        return first, last

    def _scene(self, role: str, relation: str) -> tuple[str, str]:
        """An unused pair of place and thing; the one that is asked comes from a deck of its own."""
        if relation == "person_thing":
            thing = self._deal("thing", role, relation)
            place = self._deal("place", role, accept=lambda place: (place, thing) not in self._pairs)
        else:
            place = self._deal("place", role, relation if relation == "person_place" else "")
            thing = self._deal("thing", role, accept=lambda thing: (place, thing) not in self._pairs)
        self._pairs.add((place, thing))
        return place, thing

    def _event(self, identity: str, relation: str, role: str, names: str) -> Event:
        first, last = self._name(names)
        place, thing = self._scene(role, relation)
        if role not in self._verbs:
            self._verbs[role] = Deck(verbs(), f"{self._seed}/verb/{role}")
        return Event(
            id=identity,
            relation=relation,
            first=first,
            last=last,
            verb=self._verbs[role].draw(),
            thing=thing,
            place=place,
            day=self._deal("day", role, "person_day" if relation == "person_day" else ""),
            wording=self._deal("wording", role),
        )

    def _other_thing(self, event: Event, role: str) -> Event:
        thing = self._deal("thing", role, accept=lambda thing: (event.place, thing) not in self._pairs)
        self._pairs.add((event.place, thing))
        return replace(event, thing=thing)

    def _other_place(self, event: Event, role: str) -> Event:
        place = self._deal("place", role, accept=lambda place: (place, event.thing) not in self._pairs)
        self._pairs.add((place, event.thing))
        return replace(event, place=place)

    def _near_miss(self, taught: Event, identity: str, turn: int) -> Event:
        event = replace(taught, id=identity)
        if taught.relation == "place_thing_person":
            return self._other_thing(event, "near_miss") if turn % 2 else self._other_place(event, "near_miss")
        slot = "first" if turn % 2 else "last"
        keep = taught.last if slot == "first" else taught.first

        def full(half: str) -> str:
            return f"{half} {keep}" if slot == "first" else f"{keep} {half}"

        half = self._deal(slot, "outsider", "near_miss", accept=lambda half: full(half) not in self._names)
        self._names.add(full(half))
        return replace(event, first=half) if slot == "first" else replace(event, last=half)

    def _conflict(self, taught: Event, identity: str) -> Event:
        event = replace(taught, id=identity)
        if taught.relation == "person_place":
            return self._other_place(event, "conflict")
        if taught.relation == "person_thing":
            return self._other_thing(event, "conflict")
        if taught.relation == "person_day":
            return replace(event, day=self._deal("day", "conflict", accept=lambda day: day != taught.day))
        first, last = self._name("outsider")
        return replace(event, first=first, last=last)

    def block(self) -> Block:
        """Deal the next item with its distractors and controls."""
        number = self._count
        self._count += 1
        identity, relation = f"e{number:04d}", self._relations.draw()
        taught = self._event(identity, relation, "taught", "taught")
        distractors = tuple(
            self._event(f"{identity}-distractor-{i}", relation, "distractor", "distractor")
            for i in range(DISTRACTORS_PER_BLOCK)
        )
        twin = self._event(f"{identity}-untaught", relation, "twin", "outsider")
        near_miss = self._near_miss(taught, f"{identity}-near-miss", number)
        return Block(
            taught=taught,
            distractors=distractors,
            twin=twin,
            near_miss=near_miss,
            conflict=self._conflict(taught, f"{identity}-conflict"),
            new=self._event(f"{identity}-new", relation, "new", "outsider"),
            reward=self._flags["reward"].draw(),
            pin=self._flags["pin"].draw(),
        )


def blocks(n: int, seed: int) -> tuple[Block, ...]:
    """The first ``n`` blocks of a seed.

    Raises:
        DataError: There are more than `LARGEST`.
    """
    if n > LARGEST:
        raise DataError(
            f"suite.n: there are words for at most {LARGEST:,} facts about events, skipped ones included; found {n:,}"
        )
    generator = EventGenerator(seed)
    return tuple(generator.block() for _ in range(n))


def slot_sizes() -> dict[str, int]:
    """How many different answers each relation draws from."""
    words = vocabulary()
    people = round(_NAME_SHARES["taught"] * len(words["first"])) * round(_NAME_SHARES["taught"] * len(words["last"]))
    return dict(zip(RELATIONS, (len(words["place"]), len(words["thing"]), len(words["day"]), people), strict=True))


def training_names(seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """First and last names that training may invent people from: no untaught, near-miss or new person bears one.

    Near-miss people of a seed join one name of a taught person with one that is left out here.
    """
    generator = EventGenerator(seed)
    first, last = (tuple(sorted(generator.names_in_session(slot))) for slot in ("first", "last"))
    return first, last
