"""The episodic store of what surprised: one slot for every context, with what followed it.

    store = store.observed(memories, cycle)      a day's surprises; a context that is known already is used once more
    store = store.pruned()                       old slots that nobody used go, and the least important ones
    chosen = store.selected()                    what a sleep takes
    store = store.after_sleep(stages, probes)    verified slots leave, or keep their context alone; all others stay

What is left of a verified slot is a cue: a context without key and target. What followed it only the weights know.

Importance is σ(a z + b ln(1 + usage) + c recency), 0 at first sight of the average byte; every cycle it decays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pyarrow as pa

from pipeline.config.sleepwake_night import SurpriseStoreConfig

SCHEMA_NAME = "sleepwake-surprises/1"
SCHEMA = pa.schema(
    [
        ("slot_id", pa.int64()),
        ("key", pa.list_(pa.float16())),
        ("context", pa.binary()),
        ("target", pa.binary()),
        ("surprise", pa.float64()),
        ("importance", pa.float64()),
        ("usage", pa.int64()),
        ("age", pa.int64()),
        ("last_access", pa.int64()),
        ("source", pa.string()),
        ("cycle", pa.int64()),
        ("stage", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Memory:
    """What a day hands to the store.

    Attributes:
        key: What the associative memory called the context, (D,).
        context: Bytes before the surprise.
        target: The surprising bytes.
        surprise: Largest z-score among them.
        source: Where they stood.
    """

    key: tuple[float, ...]
    context: bytes
    target: bytes
    surprise: float
    source: str


@dataclass(frozen=True)
class Slot:
    """One memory in the store.

    Attributes:
        slot_id: Never given twice.
        key: As of `Memory`.
        context: Unique in the store.
        target: Newest bytes that followed it; none of a cue.
        surprise: z-score at its last writing.
        importance: 0 to 1.
        usage: Times that the context occurred again.
        age: Cycles since it was first written.
        last_access: Cycle in which it was last written or used.
        source: Where it was last written.
        cycle: In which it was first written.
        stage: Probes in succession that were answered from the weights alone.
    """

    slot_id: int
    key: tuple[float, ...]
    context: bytes
    target: bytes
    surprise: float
    importance: float
    usage: int
    age: int
    last_access: int
    source: str
    cycle: int
    stage: int


@dataclass(frozen=True)
class SurpriseStore:
    """Slots in the order of their ids.

    Attributes:
        config: Weights, decay, pruning.
        slots: What is stored.
        next_id: Of the next new slot.
    """

    config: SurpriseStoreConfig
    slots: tuple[Slot, ...] = ()
    next_id: int = 0

    @property
    def memories(self) -> tuple[Slot, ...]:
        """Slots with a target."""
        return tuple(slot for slot in self.slots if slot.target)

    @property
    def cues(self) -> tuple[bytes, ...]:
        """Contexts whose target only the weights know."""
        return tuple(slot.context for slot in self.slots if not slot.target)

    def importance(self, surprise: float, usage: int, idle: int) -> float:
        """Of a slot.

        Args:
            surprise: z-score.
            usage: Times used.
            idle: Cycles since it was last used.
        """
        told = self.config
        score = told.surprise_weight * surprise + told.usage_weight * math.log1p(usage)
        score += told.recency_weight / (1 + idle)
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, score))))

    def observed(self, memories: Iterable[Memory], cycle: int) -> SurpriseStore:
        """The store behind a day: new contexts get slots, known ones their newest target."""
        known, following = {slot.context: slot for slot in self.slots}, self.next_id
        for memory in memories:
            before = known.get(memory.context)
            if before is None:
                weight = self.importance(memory.surprise, 0, 0)
                known[memory.context] = Slot(
                    following, memory.key, memory.context, memory.target, memory.surprise, weight, 0, 0, cycle,
                    memory.source, cycle, 0,
                )  # fmt: skip
                following += 1
            else:
                known[memory.context] = replace(
                    before,
                    key=memory.key,
                    target=memory.target,
                    surprise=memory.surprise,
                    importance=self.importance(memory.surprise, before.usage + 1, 0),
                    usage=before.usage + 1,
                    last_access=cycle,
                    source=memory.source,
                    stage=before.stage if before.target == memory.target else 0,
                )
        return replace(self, slots=tuple(known.values()), next_id=following)

    def aged(self, cycle: int) -> SurpriseStore:
        """The store at the end of a cycle: every slot is a cycle older and less important."""
        slots = tuple(
            replace(slot, age=cycle - slot.cycle + 1, importance=slot.importance * self.config.decay)
            for slot in self.slots
        )
        return replace(self, slots=slots)

    def pruned(self) -> SurpriseStore:
        """Without slots that are old and were hardly used, and without the least important above the capacity."""
        told = self.config
        stale = np.array(
            [slot.usage < told.prune_usage and slot.age > told.prune_age for slot in self.slots], dtype=bool
        )
        left = [slot for slot, gone in zip(self.slots, stale, strict=True) if not gone]
        kept = sorted(left, key=lambda slot: (-slot.importance, slot.slot_id))[: told.capacity]
        return replace(self, slots=tuple(sorted(kept, key=lambda slot: slot.slot_id)))

    def selected(self) -> tuple[Slot, ...]:
        """Slots of the highest importance: at or above the quantile."""
        if not self.memories:
            return ()
        least = np.quantile([slot.importance for slot in self.memories], self.config.consolidation_quantile)
        return tuple(slot for slot in self.memories if slot.importance >= least)

    def after_sleep(self, stages: Mapping[int, int], probes: int) -> SurpriseStore:
        """The store behind a sleep: slots that passed ``probes`` probes leave or become cues, all others stay."""
        slots = list[Slot]()
        for slot in self.slots:
            stage = stages.get(slot.slot_id, slot.stage)
            if stage < probes:
                slots.append(replace(slot, stage=stage))
            elif self.config.cues:
                slots.append(replace(slot, key=(), target=b"", stage=stage))
        return replace(self, slots=tuple(slots))


def slots_table(slots: Sequence[Slot]) -> pa.Table:
    """One row a slot."""
    columns = {field.name: [getattr(slot, field.name) for slot in slots] for field in fields(Slot)}
    columns["key"] = [np.asarray(key, np.float16) for key in columns["key"]]
    return pa.table({name: pa.array(columns[name], SCHEMA.field(name).type) for name in SCHEMA.names}, schema=SCHEMA)


def slots_of(table: pa.Table) -> tuple[Slot, ...]:
    """The slots of a table."""
    rows = table.select(SCHEMA.names).to_pylist()
    return tuple(Slot(**{**row, "key": tuple(float(part) for part in row["key"])}) for row in rows)
