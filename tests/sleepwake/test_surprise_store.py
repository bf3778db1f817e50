"""The store: known contexts are used and not doubled, importance ages, verified slots leave and failed ones stay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.config.sleepwake_night import SurpriseStoreConfig
from pipeline.sleepwake.surprise_store import Memory, SurpriseStore, slots_of, slots_table

CONFIG = SurpriseStoreConfig(prune_usage=2, prune_age=2)


def memory(name: str, target: str = "1", surprise: float = 1.0) -> Memory:
    return Memory((0.5, -0.25), name.encode(), target.encode(), surprise, f"0/0:{name}")


def store(*memories: Memory, config: SurpriseStoreConfig = CONFIG) -> SurpriseStore:
    return SurpriseStore(config).observed(memories, 0)


def test_a_known_context_is_used_and_takes_the_newest_target() -> None:
    first = store(memory("a", "1"), memory("b", "1"))
    staged = replace(first, slots=tuple(replace(slot, stage=1) for slot in first.slots))
    again = staged.observed([memory("a", "2"), memory("b", "1")], 1)
    assert [(slot.slot_id, slot.target, slot.usage, slot.stage) for slot in again.slots] == [
        (0, b"2", 1, 0),  # another answer has to be verified anew
        (1, b"1", 1, 1),
    ]
    assert {slot.last_access for slot in again.slots} == {1} and {slot.cycle for slot in again.slots} == {0}
    assert again.slots[0].importance > first.slots[0].importance


def test_importance_rises_with_surprise_usage_and_recency() -> None:
    told = SurpriseStore(CONFIG).importance
    assert told(2, 0, 0) > told(1, 0, 0) and told(1, 3, 0) > told(1, 0, 0) and told(1, 0, 0) > told(1, 0, 3)
    assert 0 < told(-1e9, 0, 0) < told(1e9, 0, 0) <= 1


def test_a_cycle_ages_and_decays() -> None:
    before = store(memory("a"))
    after = before.aged(0).aged(1)
    assert after.slots[0].age == 2
    assert after.slots[0].importance == pytest.approx(before.slots[0].importance * 0.95**2)


def test_old_slots_that_nobody_used_are_pruned_and_used_ones_stay() -> None:
    old = store(memory("a"), memory("b")).observed([memory("b"), memory("b")], 1).aged(5)
    assert [slot.context for slot in old.pruned().slots] == [b"b"]
    assert len(store(memory("a"), memory("b")).pruned().slots) == 2


def test_the_least_important_give_way_above_the_capacity() -> None:
    full = store(
        memory("a", surprise=3), memory("b", surprise=1), memory("c", surprise=2),
        config=SurpriseStoreConfig(capacity=2),
    )  # fmt: skip
    assert [slot.context for slot in full.pruned().slots] == [b"a", b"c"]


def test_sleep_takes_the_upper_quantile() -> None:
    memories = [memory(str(number), surprise=number) for number in range(10)]
    assert [slot.context for slot in store(*memories).selected()] == [b"7", b"8", b"9"]
    every = store(*memories, config=SurpriseStoreConfig(consolidation_quantile=0.0))
    assert len(every.selected()) == 10 and store().selected() == ()


def test_verified_slots_leave_their_context_and_get_a_target_when_they_are_told_again() -> None:
    left = store(memory("a"), memory("b")).after_sleep({0: 2, 1: 1}, probes=2)
    assert left.cues == (b"a",) and [slot.context for slot in left.memories] == [b"b"]
    assert left.slots[0].key == () and left.selected()[-1].context == b"b"
    again = left.observed([memory("a", "5")], 1)
    assert again.cues == () and again.slots[0].target == b"5" and again.slots[0].stage == 0


def test_verified_slots_leave_and_failed_ones_stay() -> None:
    config = SurpriseStoreConfig(cues=False)
    left = store(memory("a"), memory("b"), memory("c"), config=config).after_sleep({0: 2, 1: 1}, probes=2)
    assert [(slot.context, slot.stage) for slot in left.slots] == [(b"b", 1), (b"c", 0)]
    assert [slot.slot_id for slot in left.observed([memory("d")], 1).slots] == [1, 2, 3]


def test_a_table_gives_back_the_slots() -> None:
    known = store(memory("a"), memory("b", "xyz", 0.3)).slots
    assert slots_of(slots_table(known)) == known
