"""What the days tell: facts by cycle, woven into text.

The first day also tells the facts of the examination: gaps, surprising and patterned values, and values that the second
day changes. Facts of the part ``validation`` are told beside those of the part ``test``: guards look at the former.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.config.sleepwake_night import EpisodesConfig
from pipeline.errors import DataError
from pipeline.sleepwake.facts import Fact, Part, examination, part_of, recall_facts
from pipeline.sleepwake.text import Bytes

EPISODES_SCHEMA, STREAMS_SCHEMA = "sleepwake-episodes/1", "sleepwake-streams/1"
_EPISODES = pa.schema(
    [
        ("guard", pa.bool_()),
        ("part", pa.string()),
        ("kind", pa.string()),
        ("key", pa.string()),
        ("values", pa.list_(pa.string())),
        ("told", pa.list_(pa.int64())),
        ("asked", pa.int64()),
    ]
)
_STREAMS = pa.schema([("cycle", pa.int64()), ("stream", pa.int64()), ("bytes", pa.binary())])


@dataclass(frozen=True)
class Days:
    """All that a run tells and asks.

    Attributes:
        facts: Reported ones, of every cycle and kind.
        guard_facts: Those of validation keys.
    """

    facts: list[Fact]
    guard_facts: list[Fact]

    def of(self, kind: str, cycle: int | None = None) -> list[Fact]:
        """Reported facts of a kind, told first in a cycle."""
        return [fact for fact in self.facts if fact.kind == kind and (cycle is None or fact.told[:1] == (cycle,))]

    def guards(self, cycle: int) -> list[Fact]:
        """Facts that guards look at, told in a cycle."""
        return [fact for fact in self.guard_facts if fact.told[0] == cycle]


def plan_days(seed: int, config: EpisodesConfig) -> Days:
    """Facts of every day under different keys."""
    part: Part = config.part
    facts = [
        fact
        for fact in examination(seed, config.examined, part)
        if config.cycles > 1 or fact.kind != "interference"  # a second value needs a second day
    ]
    guards = list[Fact]()
    for cycle in range(config.cycles):
        taken = [fact.key for fact in (*facts, *guards)]
        facts += recall_facts(seed, config.facts, part, cycle, taken)
        taken = [fact.key for fact in (*facts, *guards)]
        guards += recall_facts(seed + 1, config.guard_facts, "validation", cycle, taken)
    return Days(facts, guards)


def day_streams(seed: int, days: Days, cycle: int, text: Bytes, config: EpisodesConfig) -> list[bytes]:
    """The streams of one day: every statement once, in random order, between pieces of text.

    Raises:
        DataError: The facts of a stream leave no room for text.
    """
    generator = np.random.default_rng([seed, cycle, *b"day"])
    told = [
        statement.encode() + b"\n"
        for fact in (*days.facts, *days.guard_facts)
        for statement, when in zip(fact.statements, fact.told, strict=True)
        if when == cycle
    ]
    order = [told[number] for number in generator.permutation(len(told))]
    groups = [order[first : first + config.per_stream] for first in range(0, len(order), config.per_stream)]
    return [_woven(group, text, config.length, generator) for group in groups]


def _woven(statements: Sequence[bytes], text: Bytes, length: int, generator: np.random.Generator) -> bytes:
    rest = length - sum(map(len, statements)) - len(statements) - 1
    if rest < 0:
        raise DataError(f"{len(statements)} facts leave no text in {length} bytes: lower episodes.per_stream")
    pieces = generator.multinomial(rest, np.full(len(statements) + 1, 1 / (len(statements) + 1))) + 1
    found = b""
    for number, size in enumerate(pieces):
        start = int(generator.integers(len(text) - size))
        found += text[start : start + size - 1].tobytes() + b"\n"
        if number < len(statements):
            found += statements[number]
    return found


def filler(seed: int, number: int, count: int, text: Bytes, length: int) -> list[bytes]:
    """Sessions of text alone, ``count`` side by side."""
    generator = np.random.default_rng([seed, number, *b"filler"])
    starts = generator.integers(len(text) - length, size=count)
    return [text[start : start + length].tobytes() for start in starts]


def episodes_table(days: Days) -> pa.Table:
    """One row a fact."""
    rows = [
        {
            "guard": guard,
            "part": part_of(fact.key),
            "kind": fact.kind,
            "key": fact.key,
            "values": list(fact.values),
            "told": list(fact.told),
            "asked": fact.asked,
        }
        for guard, facts in ((False, days.facts), (True, days.guard_facts))
        for fact in facts
    ]
    return pa.Table.from_pylist(rows, schema=_EPISODES)


def days_of(table: pa.Table) -> Days:
    """The facts of a table."""
    facts, guards = list[Fact](), list[Fact]()
    for row in table.to_pylist():
        fact = Fact(row["key"], tuple(row["values"]), tuple(row["told"]), row["asked"], row["kind"])
        (guards if row["guard"] else facts).append(fact)
    return Days(facts, guards)


def streams_table(streams: Sequence[Sequence[bytes]]) -> pa.Table:
    """One row a stream, by cycle."""
    rows = [
        {"cycle": cycle, "stream": number, "bytes": stream}
        for cycle, day in enumerate(streams)
        for number, stream in enumerate(day)
    ]
    return pa.Table.from_pylist(rows, schema=_STREAMS)


def streams_of(table: pa.Table, cycle: int) -> list[bytes]:
    """The streams of one day."""
    return [row["bytes"] for row in table.to_pylist() if row["cycle"] == cycle]
