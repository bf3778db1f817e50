"""The bench of a large store, at the size of a small one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.artifacts import GenerationStore
from pipeline.bench import benchmark
from pipeline.bench.store import _table, persist_ours
from pipeline.bench.store_data import prepare
from pipeline.config.benchmarks import StoreBenchConfig
from pipeline.stores import EncoderIdentity, EpisodicStore, load

SMALL = (
    "rows=[300,600]", "dimension=32", "clusters=20", "queries=20", "k=5", "replay.max_items=50",
    "store.expansion=512", "store.active=32", "store.candidates=100",
)  # fmt: skip


def test_every_step_is_measured_at_every_size() -> None:
    tables = benchmark("store")(SMALL)
    assert {"ours", "DuckDB"} <= set(tables)
    for name in ("ours", "DuckDB"):
        rows = tables[name]
        assert isinstance(rows, dict)
        for step in (
            "persist (s)",
            "reopen (s)",
            "recall (ms)",
            "sample (s)",
            "reopen: peak memory (GiB)",
            "reopen: processor (s)",
        ):
            assert float(rows[step]["300 rows"]) > 0 and float(rows[step]["600 rows"]) > 0
    assert {"load (s)", "one more night (s)"} <= set(tables["ours"])


def test_growth_is_the_slope_between_the_ends() -> None:
    table = _table({10: {"s": 1.0}, 100: {"s": 5.0}, 1000: {"s": 10_000.0}})
    assert table["s"]["growth"] == pytest.approx(2.0)


def test_what_is_timed_is_a_store_that_finds_its_rows(tmp_path: Path) -> None:
    config = StoreBenchConfig(rows=(200,), dimension=32, clusters=20, queries=10)
    prepare(config, 200, tmp_path)
    persist_ours(config, 200, tmp_path)
    opened = load(
        GenerationStore.of(tmp_path, "bench", "episodic"), "bench", config.store, EncoderIdentity("none", "0" * 64, 32)
    )
    keys, queries = np.load(tmp_path / "keys.npy"), np.load(tmp_path / "queries.npy")
    assert isinstance(opened, EpisodicStore) and len(opened) == 200
    found = [rows[0].episode.episode_id for rows in opened.recall(queries, 1)]
    assert found == [f"e{i}" for i in (queries @ keys.T).argmax(1)]
    assert opened.episodes.rows[7].gate_score == np.load(tmp_path / "scores.npy")[7]
