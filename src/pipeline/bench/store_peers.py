"""The peers of ``engram bench store``: DuckDB with exact cosine, and faiss's exact index, which has keys alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.artifacts.footprint import peak_memory_bytes
from pipeline.bench.registry import Figure
from pipeline.bench.store_data import BLOCK, Ask, episodes_of, made, timed_recall

if TYPE_CHECKING:
    from pipeline.config.benchmarks import StoreBenchConfig


def persist_duckdb(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """The same columns into one table of one database file, durable at the end."""
    import duckdb
    import pyarrow as pa

    keys, scores = made(folder, "keys"), made(folder, "scores")
    before = peak_memory_bytes()
    start = time.perf_counter()
    path = folder / "peer.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"SET threads=1; SET memory_limit='{config.duckdb_memory}'")
        connection.execute(
            "CREATE TABLE episodes (id VARCHAR, session VARCHAR, text VARCHAR, digest VARCHAR, score DOUBLE, "
            f"key FLOAT[{config.dimension}])"
        )
        for first in range(0, rows, BLOCK):
            block = slice(first, first + BLOCK)
            batch_rows = episodes_of(scores[block], first)
            batch = pa.table(
                {
                    "id": [row.episode_id for row in batch_rows],
                    "session": [row.session for row in batch_rows],
                    "text": [row.text for row in batch_rows],
                    "digest": [row.digest for row in batch_rows],
                    "score": [row.gate_score for row in batch_rows],
                    "key": pa.FixedSizeListArray.from_arrays(np.array(keys[block]).reshape(-1), config.dimension),
                }
            )
            connection.register("batch", batch)
            connection.execute("INSERT INTO episodes SELECT * FROM batch")
        connection.execute("CHECKPOINT")
    return {
        "persist (s)": time.perf_counter() - start,
        "files (GB)": path.stat().st_size / 1e9,
        "at start": before,
    }


def recall_duckdb(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Open the file, and order by exact cosine; a tenth of the queries, for each reads every key."""
    import duckdb

    question = (
        f"SELECT id, text FROM episodes ORDER BY array_cosine_similarity(key, ?::FLOAT[{config.dimension}]) DESC "
        f"LIMIT {config.k}"
    )

    def opening() -> Ask:
        connection = duckdb.connect(str(folder / "peer.duckdb"), read_only=True)
        connection.execute(f"SET threads=1; SET memory_limit='{config.duckdb_memory}'")
        return lambda query: connection.execute(question, [query[0].tolist()]).fetchall()

    return timed_recall(opening, np.array(made(folder, "queries"))[: max(1, config.queries // 10)])


def sample_duckdb(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Weighted, without replacement, by the same keys: -ln(u) / w, the smallest win."""
    import duckdb

    before = peak_memory_bytes()
    start = time.perf_counter()
    with duckdb.connect(str(folder / "peer.duckdb"), read_only=True) as connection:
        connection.execute(f"SET threads=1; SET memory_limit='{config.duckdb_memory}'")
        connection.execute(
            "SELECT id FROM episodes WHERE score > 0 ORDER BY -ln(random()) / score LIMIT ?", [config.replay.max_items]
        ).fetchall()
    return {"sample (s)": time.perf_counter() - start, "at start": before}


def persist_faiss(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Keys alone, in a flat index."""
    import faiss

    keys = made(folder, "keys")
    before = peak_memory_bytes()
    start = time.perf_counter()
    index = faiss.IndexFlatIP(config.dimension)
    for first in range(0, rows, BLOCK):
        index.add(np.array(keys[first : first + BLOCK]))
    path = folder / "peer.faiss"
    faiss.write_index(index, str(path))
    return {"persist (s)": time.perf_counter() - start, "files (GB)": path.stat().st_size / 1e9, "at start": before}


def recall_faiss(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Read the index, and compare every query with every key."""
    import faiss

    faiss.omp_set_num_threads(1)

    def opening() -> Ask:
        index = faiss.read_index(str(folder / "peer.faiss"))
        return lambda query: index.search(query, config.k)

    return timed_recall(opening, np.array(made(folder, "queries")))
