"""What ``engram bench store`` stores and asks, made block by block, and how it times a recall."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts.footprint import peak_memory_bytes
from pipeline.bench.registry import Figure

if TYPE_CHECKING:
    from pipeline.config.benchmarks import StoreBenchConfig
    from pipeline.stores import Episode
    from pipeline.stores.records import Records

SESSION = "bench"
BLOCK = 1 << 16  # rows made at once

Ask = Callable[[NDArray[np.float32]], object]


def prepare(config: StoreBenchConfig, rows: int, folder: Path) -> None:
    """Write keys (rows, dimension), gate scores (rows,) and queries (m, dimension), block by block."""
    generator = np.random.default_rng(config.seed)
    width = config.dimension
    centres = generator.standard_normal((config.clusters, width), dtype=np.float32)
    keys = np.lib.format.open_memmap(folder / "keys.npy", "w+", np.float32, (rows, width))
    for first in range(0, rows, BLOCK):
        block = keys[first : first + BLOCK]
        block[:] = centres[generator.integers(0, config.clusters, len(block))]
        block += generator.standard_normal(block.shape, dtype=np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    np.save(folder / "scores.npy", generator.random(rows))
    asked = keys[np.sort(generator.integers(0, rows, config.queries))]
    asked = asked + 0.6 / width**0.5 * generator.standard_normal(asked.shape, dtype=np.float32)
    np.save(folder / "queries.npy", asked / np.linalg.norm(asked, axis=1, keepdims=True))


def made(folder: Path, name: str) -> NDArray[Any]:
    found: NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r")
    return found


def text_of(number: int) -> str:
    """An event of ordinary length, another one for every number."""
    return (
        f"On day {number % 365} visitor {number} of the harbour bought lantern {number % 997} at stall {number % 89}."
    )


def episodes_of(scores: NDArray[np.float64], first: int = 0) -> list[Episode]:
    from pipeline.stores import Episode

    return [
        Episode(
            f"e{first + i}",
            SESSION,
            text_of(first + i),
            digest=f"{first + i:064x}",
            gate_score=score,
            accepted=True,
            salience=score,
            novelty=score,
        )
        for i, score in enumerate(scores.tolist())
    ]


def candidates_of(scores: NDArray[np.float64]) -> Records[Episode]:
    """All episodes as columns, made block by block."""
    import pyarrow as pa

    from pipeline.stores import Episode
    from pipeline.stores.records import Records

    blocks = range(0, len(scores), BLOCK)
    blocks_of = (Records.of(Episode, episodes_of(scores[first : first + BLOCK], first)) for first in blocks)
    return Records(Episode, pa.concat_tables([records.table for records in blocks_of]))


def timed_recall(opening: Callable[[], Ask], queries: NDArray[np.float32]) -> dict[str, Figure]:
    """Times of opening something and of asking it each query by itself.

    Args:
        opening: Opens it, and returns what answers one query of shape (1, dimension).
        queries: Shape (m, dimension).
    """
    before = peak_memory_bytes()
    start = time.perf_counter()
    ask = opening()
    ready = time.perf_counter()
    ask(queries[:1])
    first = time.perf_counter()
    for number in range(len(queries)):
        ask(queries[number : number + 1])
    done = time.perf_counter()
    return {
        "reopen (s)": ready - start,
        "first recall (s)": first - ready,
        "recall (ms)": 1000 * (done - first) / len(queries),
        "at start": before,
    }
