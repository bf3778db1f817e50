"""Episodes of facts: keys that are told values in one session and asked for them in a later one.

    told   @bakitu=4821;        asked   @bakitu=        answer   4821;

A key is three syllables, a value four digits. The question holds nothing of the answer, so that without a memory a
model is right by chance alone, once in 10,000. Where several values were told of a key the last one holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.errors import DataError

Part = Literal["train", "validation", "test"]
Kind = Literal["recall", "gap", "surprising", "patterned", "interference", "unseen"]
GAPS = (1, 2, 4, 8, 16)
_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_SYLLABLES = [consonant + vowel for consonant in _CONSONANTS for vowel in _VOWELS]
KEYS = len(_SYLLABLES) ** 3
MOST_KEYS = KEYS // 8
"""Keys that may be drawn of one part: half of the smallest."""
DIGITS = 4


@dataclass(frozen=True)
class Fact:
    """A key with what is told of it and when.

    Attributes:
        key: Unique in its part.
        values: In the order told; the last one is the answer. Empty of a key that is never told, which has no answer.
        told: Session of each value, from 0.
        asked: Session of the question, after the last one told.
        kind: What it examines.
    """

    key: str
    values: tuple[str, ...]
    told: tuple[int, ...]
    asked: int
    kind: Kind

    @property
    def statements(self) -> tuple[str, ...]:
        """What is told, one text a value."""
        return tuple(f"@{self.key}={value};" for value in self.values)

    @property
    def question(self) -> str:
        """What a model continues."""
        return f"@{self.key}="

    @property
    def answer(self) -> str | None:
        """How it should continue; None of a key that is never told."""
        return f"{self.values[-1]};" if self.values else None

    def is_intruded(self, reply: str) -> bool:
        """Whether a reply is a value that no longer holds."""
        return reply.removesuffix(";") in self.values[:-1]


def part_of(key: str) -> Part:
    """The part of a key, by its SHA-256 and whatever the seed: half of all keys train, a quarter each of the others."""
    share = hashlib.sha256(key.encode()).digest()[0] & 3
    return "train" if share < 2 else "validation" if share == 2 else "test"


def draw_keys(generator: np.random.Generator, count: int, part: Part, taken: Sequence[str] = ()) -> list[str]:
    """Different keys of one part that are not among ``taken``.

    Raises:
        DataError: ``count`` and ``taken`` are more than half of a part may hold.
    """
    if count + len(taken) > MOST_KEYS:
        raise DataError(f"expected at most {MOST_KEYS} keys of a part, found {count + len(taken)}")
    seen, found = set(taken), list[str]()
    while len(found) < count:
        key = "".join(_SYLLABLES[number] for number in generator.integers(len(_SYLLABLES), size=3))
        if key not in seen and part_of(key) == part:
            seen.add(key)
            found.append(key)
    return found


def random_value(generator: np.random.Generator) -> str:
    """Four digits, uniform."""
    return f"{int(generator.integers(10**DIGITS)):0{DIGITS}d}"


def patterned_value(generator: np.random.Generator) -> str:
    """One of the ten values of a digit that repeats."""
    return str(generator.integers(10)) * DIGITS


def recall_facts(seed: int, count: int, part: Part, session: int = 0, taken: Sequence[str] = ()) -> list[Fact]:
    """Keys, none of ``taken``, that are told random values in one session and asked in the next."""
    generator = np.random.default_rng([seed, session, *b"recall"])
    keys = draw_keys(generator, count, part, taken)
    return [Fact(key, (random_value(generator),), (session,), session + 1, "recall") for key in keys]


def examination(seed: int, count: int, part: Part) -> list[Fact]:
    """Facts of every kind under different keys, told from session 0 on.

    Args:
        seed: Of keys and values.
        count: Facts of each kind, and of each gap.
        part: Of the keys.

    Returns:
        ``gap``: asked 1, 2, 4, 8 or 16 sessions after they were told. ``surprising`` and ``patterned``: random values
        and repeated digits, told equally often, alternating in one session. ``interference``: told two different
        values, one session after the other. ``unseen``: never told.
    """
    generator = np.random.default_rng([seed, *b"examination"])
    keys = iter(draw_keys(generator, count * (len(GAPS) + 4), part))
    found = [Fact(next(keys), (random_value(generator),), (0,), gap, "gap") for gap in GAPS for _ in range(count)]
    for _ in range(count):
        found.append(Fact(next(keys), (random_value(generator),), (0,), 1, "surprising"))
        found.append(Fact(next(keys), (patterned_value(generator),), (0,), 1, "patterned"))
    for _ in range(count):
        old = new = random_value(generator)
        while new == old:
            new = random_value(generator)
        found.append(Fact(next(keys), (old, new), (0, 1), 2, "interference"))
    return found + [Fact(next(keys), (), (), 1, "unseen") for _ in range(count)]


def told_in(facts: Sequence[Fact], session: int) -> list[tuple[Fact, str]]:
    """What a session tells: each fact with the statement of its value, in the order of the facts."""
    return [
        (fact, statement)
        for fact in facts
        for statement, when in zip(fact.statements, fact.told, strict=True)
        if when == session
    ]
