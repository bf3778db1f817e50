"""Queries to a large store, at the size of a small one."""

from __future__ import annotations

import numpy as np

from pipeline.bench import benchmark
from pipeline.bench.recall import nearest, recall_at, vectors
from pipeline.config.benchmarks import RecallBenchConfig

SMALL = (
    "keys=600", "dimension=32", "clusters=20", "queries=20", "k=5",
    "store.expansion=512", "store.active=32", "store.candidates=100",
)  # fmt: skip


def test_the_table_compares_recall_and_speed() -> None:
    (rows,) = [figure for figure in benchmark("recall")(SMALL).values() if not isinstance(figure, str)]
    assert isinstance(rows, dict)
    assert rows["ours"]["recall@5"] > 0.9
    assert rows["faiss exact"]["recall@5"] == 1.0
    assert all(row["queries/s, one by one"] > 0 and row["queries/s, together"] > 0 for row in rows.values())
    assert rows["ours"]["MB read a query"] == (8 * 32**2 * 600 / 512 + 4 * 100 * 32) / 1e6


def test_queries_are_near_their_keys_and_all_are_of_length_one() -> None:
    keys, queries = vectors(RecallBenchConfig(keys=500, dimension=48, clusters=10, queries=50))
    for rows in (keys, queries):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)
    assert (queries @ keys.T).max(1).mean() > 0.75 > np.abs(keys @ keys.T).mean()


def test_recall_counts_what_was_found_of_the_true_nearest() -> None:
    keys = np.eye(4, dtype=np.float32)
    queries = np.array([[1.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.2, 1.0]], np.float32)
    truth = nearest(keys, queries, 2)
    assert [set(row) for row in truth.tolist()] == [{0, 1}, {2, 3}]
    assert recall_at([[0, 3], [3, 2]], truth) == 0.75
