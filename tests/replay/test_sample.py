from __future__ import annotations

import importlib
import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import ReplayConfig, ReplayMix
from pipeline.errors import DataError
from pipeline.replay import IDENTITY_HASH, hash_ids, identity_hashes, sample, smallest_keys, splitmix64
from pipeline.replay.hashing import uniforms


def rows(ids: Sequence[str], salience: Sequence[float] | None = None, **columns: Any) -> pa.Table:
    n = len(ids)
    values: dict[str, Any] = {
        "episode_id": pa.array(ids, pa.string()),
        "consolidate": pa.array([True] * n, pa.bool_()),
        "salience": pa.array(salience or [0.5] * n, pa.float64()),
        "usage": pa.array([0.0] * n, pa.float64()),
        "novelty": pa.array([0.0] * n, pa.float64()),
    }
    return pa.table({**values, **columns})


TEN = rows([f"e{i}" for i in range(10)], [0.1 * (i + 1) for i in range(10)])


def ids(table: pa.Table) -> list[str]:
    names: list[str] = table.column("episode_id").to_pylist()
    return names


@given(st.permutations(range(10)), st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from([0.0, 0.5]))
def test_the_order_of_rows_does_not_matter(order: list[int], seed: int, budget: int, noise: float) -> None:
    config = ReplayConfig(max_items=budget, cycles=2, noise_level=noise)
    expected, metrics = sample({"episodic": TEN}, config, seed, night=3)
    found, others = sample({"episodic": TEN.take(order)}, config, seed, night=3)
    assert found.equals(expected) and others == metrics
    for cycle in (0, 1):
        drawn = [row["episode_id"] for row in expected.to_pylist() if row["cycle"] == cycle]
        assert len(set(drawn)) == len(drawn), "without replacement"


@given(st.integers(0, 1000), st.sampled_from(range(10)))
def test_an_item_that_leaves_makes_room_for_the_next(seed: int, gone: int) -> None:
    """Draws belong to items: without one item, the order of all the others stays."""
    config = ReplayConfig(max_items=10, policy="uniform")
    whole = ids(sample({"episodic": TEN}, config, seed, 0)[0])
    part = ids(sample({"episodic": TEN.take([i for i in range(10) if i != gone])}, config, seed, 0)[0])
    assert part == [name for name in whole if name != f"e{gone}"]


def test_inclusion_rates_are_those_of_successive_weighted_draws() -> None:
    """Oracle: numpy's choice without replacement, over thousands of draws."""
    draws = 4000
    table, _ = sample({"episodic": TEN}, ReplayConfig(max_items=3 * draws, cycles=draws), 1337, 0)
    found = np.array([ids(table).count(f"e{i}") for i in range(10)]) / draws
    rng, weights = np.random.default_rng(0), np.arange(1, 11) / 55
    oracle = np.zeros(10)
    for _ in range(draws):
        oracle[rng.choice(10, 3, replace=False, p=weights)] += 1 / draws
    np.testing.assert_allclose(found, oracle, atol=4 * np.sqrt(2 * 0.25 / draws))  # four standard errors


def test_seed_night_and_cycle_change_the_draw_and_nothing_else_does() -> None:
    config = ReplayConfig(max_items=10, cycles=2)
    base = sample({"episodic": TEN}, config, 1, 0)[0]
    assert sample({"episodic": TEN}, config, 1, 0)[0].equals(base)
    assert ids(base) != ids(sample({"episodic": TEN}, config, 2, 0)[0])
    assert ids(base) != ids(sample({"episodic": TEN}, config, 1, 1)[0])
    assert ids(base)[:5] != ids(base)[5:]
    assert base.column("order").to_pylist() == list(range(10))


def test_one_draw_is_pinned_for_ever() -> None:
    assert ids(sample({"episodic": TEN}, ReplayConfig(max_items=4), 1337, 0)[0]) == ["e8", "e5", "e0", "e9"]


def test_noise_changes_the_draw_and_not_the_weights() -> None:
    quiet = sample({"episodic": TEN}, ReplayConfig(max_items=10), 1, 0)[0]
    noisy = sample({"episodic": TEN}, ReplayConfig(max_items=10, noise_level=1.0), 1, 0)[0]
    assert ids(quiet) != ids(noisy) and sorted(ids(quiet)) == sorted(ids(noisy))
    assert set(quiet.column("weight").to_pylist()) == set(noisy.column("weight").to_pylist())


def test_only_rows_with_a_positive_weight_that_may_be_consolidated() -> None:
    table = rows(
        ["good", "zero", "negative", "nan", "infinite", "distractor"],
        [0.5, 0.0, -1.0, float("nan"), float("inf"), 0.5],
        consolidate=pa.array([True] * 5 + [False]),
    )
    drawn, metrics = sample({"episodic": table}, ReplayConfig(max_items=5), 1, 0)
    assert ids(drawn) == ["good"]
    assert (metrics["requested"], metrics["samples"], metrics["distinct"], metrics["shortfall"]) == (5, 1, 1, 4)


def test_the_budget_is_shared_by_cycles_and_kinds() -> None:
    stores = {kind: rows([f"{i}" for i in range(30)]) for kind in ("episodic", "relational", "spatial")}
    drawn, metrics = sample(stores, ReplayConfig(max_items=25, cycles=2), 1, 0)
    assert drawn.column("cycle").to_pylist() == [0] * 13 + [1] * 12
    assert metrics["samples_by_kind"] == {"episodic": 8 + 7, "relational": 4 + 4, "spatial": 1 + 1}
    only = ReplayConfig(max_items=10, mix=ReplayMix(episodic=0.0, relational=1.0, spatial=0.0))
    assert set(sample(stores, only, 1, 0)[0].column("kind").to_pylist()) == {"relational"}


def test_metrics_describe_weights() -> None:
    _, metrics = sample({"episodic": TEN}, ReplayConfig(max_items=10), 1, 0)
    assert metrics["policy"] == "priority" and metrics["eligible_by_kind"] == {"episodic": 10}
    assert metrics["weight_quantiles"] == pytest.approx(
        {"min": 0.05, "q25": 0.1625, "median": 0.275, "q75": 0.3875, "max": 0.5}
    )
    assert metrics["drawn_weight_quantiles"] == metrics["weight_quantiles"]


def test_nothing_to_replay_is_an_empty_table() -> None:
    for stores in ({}, {"episodic": TEN.slice(0, 0)}):
        drawn, metrics = sample(stores, ReplayConfig(max_items=5), 1, 0)
        assert drawn.num_rows == 0 and metrics["samples"] == 0 and metrics["weight_quantiles"] == {}
        assert drawn.schema.names == ["episode_id", "session", "kind", "weight", "cycle", "order"]


def test_ids_must_be_unique_within_a_session() -> None:
    with pytest.raises(DataError, match=r"\('', 'a'\) occurs twice"):
        sample({"episodic": rows(["a", "b", "a"])}, ReplayConfig(), 1, 0)
    two = rows(["a", "a"], session=pa.array(["s", "t"]))
    assert sorted(sample({"episodic": two}, ReplayConfig(), 1, 0)[0].column("session").to_pylist()) == ["s", "t"]


@given(st.integers(0, 400), st.integers(0, 500), st.sampled_from([0.0, 0.4]), st.integers(0, 99))
def test_the_smallest_keys_are_those_of_a_full_sort(n: int, count: int, noise: float, seed: int) -> None:
    """Oracle: every key at once; equal keys all win."""
    hashes = hash_ids([str(i % 300) for i in range(n)])
    weights = 0.1 + np.arange(n) % 3
    near, keys = smallest_keys(hashes, weights, count, (seed, 1, 2), noise)
    if noise == 0.0:
        every = -np.log(uniforms(hashes, seed, 1, 2, 0)) / weights
        np.testing.assert_allclose(keys, every[near], rtol=1e-12)
        assert len(near) >= min(count, n) and len(set(near.tolist())) == len(near)
        rest = np.delete(every, near)
        assert not count or not len(rest) or rest.min() > keys.max()
    alone = [smallest_keys(hashes[i : i + 1], weights[i : i + 1], 1, (seed, 1, 2), noise)[1][0] for i in near[:5]]
    assert keys[:5].tolist() == alone, "a key belongs to a row, not to its place"


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes, weights = splitmix64(np.arange(5000, dtype=np.uint64)), 1.0 + np.arange(5000) % 7
    whole = smallest_keys(hashes, weights, 300, (1, 2, 3))
    monkeypatch.setattr(importlib.import_module("pipeline.replay.sample"), "_BLOCK", 64)
    for one, other in zip(whole, smallest_keys(hashes, weights, 300, (1, 2, 3)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_stored_hashes_change_nothing() -> None:
    config = ReplayConfig(max_items=8, cycles=2, noise_level=0.3)
    kept = TEN.append_column(IDENTITY_HASH, pa.array(identity_hashes("episodic", TEN), pa.uint64()))
    assert sample({"episodic": kept}, config, 4, 1)[0].equals(sample({"episodic": TEN}, config, 4, 1)[0])


def test_a_large_store_takes_little_memory_beyond_its_rows() -> None:
    """A hundred bytes a row at most, where a dictionary a row would take several hundred."""
    n = 400_000
    numbers = np.arange(n)
    table = pa.table(
        {
            "episode_id": pa.array(numbers).cast(pa.string()),
            "consolidate": np.ones(n, dtype=bool),
            "salience": 0.5 + 0.5 * (numbers % 2),
            "usage": (numbers % 5).astype(float),
            "novelty": np.ones(n),
            IDENTITY_HASH: splitmix64(numbers.astype(np.uint64)),
        }
    )
    tracemalloc.start()
    drawn, metrics = sample({"episodic": table}, ReplayConfig(max_items=1000), 1, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert drawn.num_rows == metrics["distinct"] == 1000
    assert peak < 100 * n
