"""Replay schedules: every sample once an epoch, or more of what is known worst; the count of steps is always right."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.columns.schedules import DynamicReplay, batches_of, schedule_of
from pipeline.config.columns import ColumnSleepConfig, DynamicReplayConfig

SIZES = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 50), min_size=1)
PARENTS = {"a": "a", "b": "b", "c": "a", "d": "b"}


def config(**dynamic: object) -> ColumnSleepConfig:
    made = DynamicReplayConfig.model_validate({"enabled": True} | dynamic)
    return ColumnSleepConfig(epochs=2, batch_size=7, dynamic=made)


@pytest.mark.parametrize("order", ["interleaved", "blocks"])
@given(sizes=SIZES, batch_size=st.integers(1, 20), seed=st.integers(0, 1000))
def test_every_row_comes_once(order: str, sizes: dict[str, int], batch_size: int, seed: int) -> None:
    rows = {task: np.arange(size) for task, size in sizes.items()}
    made = list(batches_of(rows, batch_size, order, np.random.default_rng(seed)))  # type: ignore[arg-type]
    for task, size in sizes.items():
        assert sorted(int(i) for name, own in made if name == task for i in own) == list(range(size))
    assert all(0 < len(own) <= batch_size for _, own in made)
    if order == "blocks":
        changes = sum(a != b for (a, _), (b, _) in pairwise(made))
        assert changes == max(0, len({task for task, _ in made}) - 1)


def test_interleaved_batches_mix_the_tasks() -> None:
    rows = {"a": np.arange(100), "b": np.arange(100)}
    made = [task for task, _ in batches_of(rows, 1, "interleaved", np.random.default_rng(0))]
    assert 20 < Counter(made[:100])["a"] < 80


@given(sizes=SIZES, enabled=st.booleans(), seed=st.integers(0, 100), passes=st.floats(0, 2.5))
def test_steps_are_counted_beforehand(sizes: dict[str, int], enabled: bool, seed: int, passes: float) -> None:
    settings = config(enabled=enabled, warmup_passes=passes)
    schedule = schedule_of(sizes, PARENTS, settings, np.random.default_rng(seed))
    count = 0
    for task, rows in schedule:
        schedule.note(task, rows, np.random.default_rng(count).random(len(rows)))
        count += 1
    assert count == schedule.steps


def test_even_epochs_replay_every_sample_alike() -> None:
    schedule = schedule_of({"a": 20, "c": 9}, PARENTS, config(enabled=False), np.random.default_rng(0))
    seen = Counter((task, int(row)) for task, rows in schedule for row in rows)
    assert set(seen.values()) == {2} and len(seen) == 29


def test_primes_come_first_and_base_tasks_are_anchored_every_epoch() -> None:
    settings = config(prime_warmup_passes=0.5, warmup_passes=0.0, top_percent=0.0, extra_percent=0.0)
    schedule = DynamicReplay({"a": 14, "c": 14}, frozenset("c"), settings, np.random.default_rng(0))
    made = [(task, len(rows)) for task, rows in schedule]
    assert made == [("c", 7)] + [("a", 7)] * 4


def test_what_is_known_worst_is_replayed_again() -> None:
    settings = config(prime_warmup_passes=0.0, warmup_passes=1.0, top_percent=0.1, extra_percent=0.0, momentum=0.0)
    schedule = DynamicReplay({"c": 50}, frozenset("c"), settings, np.random.default_rng(0))
    seen: Counter[int] = Counter()
    for task, rows in schedule:
        seen.update(int(row) for row in rows)
        schedule.note(task, rows, np.where(rows % 10 == 3, 5.0, 0.1))
    assert {row for row, count in seen.items() if count == 3} == {3, 13, 23, 33, 43}
    assert sum(seen.values()) == 50 + 2 * 5
