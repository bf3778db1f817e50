"""``engram bench recall``: queries to a store of 100,000 keys, against faiss's exact index and its graph.

Keys gather around subjects, as those of a store do, and every query is a noisy key. The store nominates by sparse code
and ranks what it nominated by exact cosine; faiss's exact index (`IndexFlatIP`) compares with every key, its graph
(`IndexHNSWFlat`) is walked, with so many candidates (`efSearch`, here "ef"). Recall@k is the share of the k keys with
the largest cosine that are found.

Queries are asked one by one, as a conversation asks, and all together, as an examination does. What a query reads
bounds its speed: an exact search all keys, the store the postings of the query's units and the nominated keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.bench.isolation import in_own_process
from pipeline.bench.registry import Figure, Figures, register_benchmark

if TYPE_CHECKING:
    from pipeline.config.benchmarks import RecallBenchConfig

Vectors = NDArray[np.float32]
Search = Callable[[Vectors], list[list[int]]]
"""From queries (m, d) to the numbers of the k nearest keys of each."""

GRAPH_DEGREE = 32  # neighbours of a key in HNSW, faiss's usual choice
GRAPH_SEARCHES = (16, 64, 256)  # candidates that a walk keeps; more find more and take longer


@register_benchmark("recall", "queries a second to 100,000 keys and recall@k, against faiss")
def recall(settings: Sequence[str]) -> Figures:
    """Ask the same queries of the store and of faiss's indexes.

    Args:
        settings: Overrides of configs/benchmarks/recall.yaml.

    Raises:
        ConfigError: A setting is wrong.
    """
    from pipeline.config import config_root, load_section
    from pipeline.config.benchmarks import RecallBenchConfig

    config = load_section(RecallBenchConfig, config_root() / "benchmarks" / "recall.yaml", settings)
    contenders: list[tuple[str, int]] = [("ours", 0)]
    absent: dict[str, Figure] = {}
    if find_spec("faiss") is None:
        absent["faiss"] = "not installed: pip install --no-deps faiss-cpu"
    else:
        contenders += [("flat", 0), *(("graph", search) for search in GRAPH_SEARCHES)]
    rows: dict[str, dict[str, Figure]] = {}
    for kind, search in contenders:
        row, memory = in_own_process(contend, kind, search, config)
        name = {"ours": "ours", "flat": "faiss exact"}.get(kind, f"faiss HNSW, ef {search}")
        rows[name] = {**row, "peak GiB": memory / 2**30}
    return {**absent, f"{config.queries:,} queries to {config.keys:,} keys of {config.dimension}": rows}


def contend(kind: str, search: int, config: RecallBenchConfig) -> dict[str, Figure]:
    """Build one index and ask it.

    Args:
        kind: ours, flat or graph.
        search: Candidates that a walk over the graph keeps.
        config: Of the comparison.
    """
    keys, queries = vectors(config)
    start = time.perf_counter()
    if kind == "ours":
        ask, read = _ours(keys, config)
    elif kind == "flat":
        ask, read = _flat(keys, config)
    else:
        ask, read = _graph(keys, config, search)
    ask(queries[:1])  # the store builds its index when it is first asked
    built = time.perf_counter() - start
    few = queries[: max(1, len(queries) // 4)]
    start = time.perf_counter()
    for number in range(len(few)):
        ask(few[number : number + 1])
    alone = time.perf_counter() - start
    start = time.perf_counter()
    found = ask(queries)
    together = time.perf_counter() - start
    return {
        f"recall@{config.k}": recall_at(found, nearest(keys, queries, config.k)),
        "queries/s, one by one": len(few) / alone,
        "queries/s, together": len(queries) / together,
        "MB read a query": read / 1e6 if read else "",
        "built (s)": built,
    }


def vectors(config: RecallBenchConfig) -> tuple[Vectors, Vectors]:
    """Unit keys (n, d) in clusters, and unit queries (m, d) near some of them."""
    generator = np.random.default_rng(config.seed)
    width = config.dimension
    centres = _unit(generator.standard_normal((config.clusters, width), dtype=np.float32))
    keys = centres[generator.integers(0, config.clusters, config.keys)]
    keys += config.spread / width**0.5 * generator.standard_normal(keys.shape, dtype=np.float32)
    keys = _unit(keys)
    queries = keys[generator.integers(0, config.keys, config.queries)]
    queries = queries + config.noise / width**0.5 * generator.standard_normal(queries.shape, dtype=np.float32)
    return keys, _unit(queries)


def _unit(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def nearest(keys: Vectors, queries: Vectors, k: int) -> NDArray[np.intp]:
    """Numbers of the ``k`` keys with the largest cosine to each query, by brute force, shape (m, k)."""
    found = [np.argpartition(-(keys @ query), min(k, len(keys)) - 1)[:k] for query in queries]
    return np.stack(found)


def recall_at(found: Sequence[Sequence[int]], truth: NDArray[np.intp]) -> float:
    """Share of the true nearest keys that were found."""
    hits = [len(set(some) & set(right.tolist())) for some, right in zip(found, truth, strict=True)]
    return sum(hits) / truth.size


def _ours(keys: Vectors, config: RecallBenchConfig) -> tuple[Search, float]:
    from pipeline.stores import EncoderIdentity, Episode, EpisodicStore

    identity = EncoderIdentity("none", "0" * 64, config.dimension)
    store = EpisodicStore("bench", config.store.model_copy(update={"max_items": len(keys)}), identity)
    rows = [Episode(str(number), "bench", "", digest=str(number)) for number in range(len(keys))]
    store.write(store.candidates(rows, keys), enforce=False)

    def ask(queries: Vectors) -> list[list[int]]:
        return [[int(r.episode.episode_id) for r in found] for found in store.recall(queries, config.k)]

    postings = config.store.active**2 * len(keys) / config.store.expansion  # on average
    ranked = min(config.store.candidates, len(keys)) * config.dimension
    return ask, 8.0 * postings + 4.0 * ranked


def _flat(keys: Vectors, config: RecallBenchConfig) -> tuple[Search, float]:
    import faiss

    index = faiss.IndexFlatIP(config.dimension)
    index.add(keys)
    return lambda queries: index.search(queries, config.k)[1].tolist(), float(keys.nbytes)


def _graph(keys: Vectors, config: RecallBenchConfig, search: int) -> tuple[Search, float]:
    import faiss

    index = faiss.IndexHNSWFlat(config.dimension, GRAPH_DEGREE, faiss.METRIC_INNER_PRODUCT)
    index.add(keys)
    index.hnsw.efSearch = search
    return lambda queries: index.search(queries, config.k)[1].tolist(), 0.0
