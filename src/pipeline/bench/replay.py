"""``engram bench replay``: 100,000 of ten million rows, drawn without replacement, against numpy and torchrl.

Ours draws as a night does: from a store's columns to a table of rows in order of replay, ids checked and weights
computed by the policy on the way. The peers get weights as an array and give numbers, as our inner part does alone:
numpy's ``Generator.choice`` without replacement, and torchrl's prioritised sampler, which draws with replacement.
Every one runs in a process of its own, so that its highest memory, the store's columns with it, is its own. Ids are
hashed when a store is written; how long that takes stands beside.

Inclusion rates: a third of a dozen rows is drawn in many nights. The rates that successive weighted draws must have are
computed exactly, over all subsets, and compared by Pearson's chi-squared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bench.isolation import in_own_process
from pipeline.bench.registry import Figure, Figures, register_benchmark

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.config.benchmarks import ReplayBenchConfig

KIND = "episodic"
_CHUNK = 1_000_000  # ids made at once


@register_benchmark("replay", "seconds to draw 100,000 of ten million rows, against numpy and torchrl")
def replay(settings: Sequence[str]) -> Figures:
    """Draw by every sampler, then check ours against theory.

    Args:
        settings: Overrides of configs/benchmarks/replay.yaml.

    Raises:
        ConfigError: A setting is wrong.
    """
    from pipeline.config import config_root, load_section
    from pipeline.config.benchmarks import ReplayBenchConfig

    config = load_section(ReplayBenchConfig, config_root() / "benchmarks" / "replay.yaml", settings)
    samplers: dict[str, Callable[[ReplayBenchConfig], dict[str, Figure] | str]] = {
        "ours, from a store to a table": draw_ours,
        "ours, from weights": draw_ours_from_weights,
        "numpy's choice, from weights": draw_numpy,
        "torchrl's prioritised sampler": draw_torchrl,
    }
    rows: dict[str, dict[str, Figure]] = {}
    absent: dict[str, str] = {}
    for name, sampler in samplers.items():
        row, memory = in_own_process(sampler, config)
        if isinstance(row, str):
            absent[name] = row
        else:
            rows[name] = {**row, "peak memory (GiB)": memory / 2**30}
    expected, drawn, statistic, bound = inclusion(config)
    oracle: dict[str, dict[str, Figure]] = {
        f"row {i + 1}": {"expected": float(e), "drawn": float(d)}
        for i, (e, d) in enumerate(zip(expected, drawn, strict=True))
    }
    return {
        **absent,
        f"{config.replay.max_items:,} of {config.rows:,} rows": rows,
        f"inclusion rates over {config.oracle_draws:,} draws": oracle,
        "chi-squared of the rates": statistic,
        "its bound at p = .001": bound,
        "rates match": "yes" if statistic < bound else "no",
    }


def store_of(rows: int, seed: int) -> pa.Table:
    """A store's columns that replay reads, ids as strings and their hashes."""
    import pyarrow as pa
    from pyarrow import compute

    from pipeline.replay import IDENTITY_HASH, splitmix64

    generator = np.random.default_rng(seed)
    ids = []
    for first in range(0, rows, _CHUNK):
        numbers = compute.cast(pa.array(np.arange(first, min(first + _CHUNK, rows))), pa.string())
        ids.append(compute.binary_join_element_wise("e", numbers, ""))
    return pa.table(
        {
            "episode_id": pa.chunked_array(ids),
            "consolidate": pa.array(np.ones(rows, dtype=bool)),
            "salience": generator.random(rows),
            "usage": np.floor(generator.exponential(2.0, rows)),
            "novelty": generator.random(rows),
            IDENTITY_HASH: splitmix64(np.arange(rows, dtype=np.uint64)),  # as evenly spread as those of the ids
        }
    )


def draw_ours(config: ReplayBenchConfig) -> dict[str, Figure]:
    """Seconds of `pipeline.replay.sample`, and of hashing ids, which a store does when it is written."""
    from pipeline.replay import IDENTITY_HASH, identity_hashes, sample

    table = store_of(config.rows, config.seed)
    start = time.perf_counter()
    drawn, metrics = sample({KIND: table}, config.replay, config.seed, 0)
    seconds = time.perf_counter() - start
    few = table.slice(0, min(config.rows, _CHUNK)).drop_columns([IDENTITY_HASH])
    start = time.perf_counter()
    identity_hashes(KIND, few)
    hashing = (time.perf_counter() - start) * config.rows / few.num_rows
    return {
        "seconds": seconds,
        "before the first draw (s)": hashing,
        "distinct": int(metrics["distinct"]),
        "drawn": drawn.num_rows,
    }


def draw_ours_from_weights(config: ReplayBenchConfig) -> dict[str, Figure]:
    """Seconds of `pipeline.replay.smallest_keys`: hashed ids and weights in, numbers out, as the peers have it."""
    from pipeline.replay import smallest_keys, splitmix64

    weights, hashes = _weights(config), splitmix64(np.arange(config.rows, dtype=np.uint64))
    start = time.perf_counter()
    drawn, _ = smallest_keys(hashes, weights, config.replay.max_items, (config.seed, 0, 0))
    seconds = time.perf_counter() - start
    return _row(seconds, 0.0, drawn)


def _row(seconds: float, before: float, drawn: NDArray[np.int64]) -> dict[str, Figure]:
    return {
        "seconds": seconds,
        "before the first draw (s)": before,
        "distinct": len(np.unique(drawn)),
        "drawn": len(drawn),
    }


def _weights(config: ReplayBenchConfig) -> NDArray[np.float64]:
    from pipeline.replay import policy_weights

    return policy_weights(store_of(config.rows, config.seed), config.replay)


def draw_numpy(config: ReplayBenchConfig) -> dict[str, Figure]:
    """Seconds of ``numpy.random.Generator.choice``."""
    weights, generator = _weights(config), np.random.default_rng(config.seed)
    start = time.perf_counter()
    chance = weights / weights.sum()
    drawn = generator.choice(len(weights), config.replay.max_items, replace=False, p=chance)
    seconds = time.perf_counter() - start
    return _row(seconds, 0.0, drawn)


def draw_torchrl(config: ReplayBenchConfig) -> dict[str, Figure] | str:
    """Seconds of ``torchrl.data.PrioritizedSampler``, and of building its trees of sums; or why it is not there."""
    if find_spec("torchrl") is None:
        return "not installed; it is no part of the set, for its compiled part fits other versions of torch"
    import torch
    from torchrl.data import PrioritizedSampler

    weights = torch.from_numpy(_weights(config)).float()
    start = time.perf_counter()
    try:
        sampler = PrioritizedSampler(config.rows, alpha=1.0, beta=1.0, eps=0.0)
    except RuntimeError as error:  # its compiled part was built for another torch
        return f"installed, but does not fit torch {torch.__version__}: {error}"
    sampler.update_priority(torch.arange(config.rows), weights)
    built = time.perf_counter()
    drawn, _ = sampler.sample(_Rows(config.rows), config.replay.max_items)
    seconds = time.perf_counter() - built
    return _row(seconds, built - start, np.asarray(drawn))


class _Rows:
    """As much of a storage as torchrl's sampler asks for."""

    ndim, device, _is_full = 1, "cpu", True

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows


def inclusion(config: ReplayBenchConfig) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    """Expected and drawn inclusion rates of a small store, chi-squared between them, and its bound at p = .001."""
    import pyarrow as pa
    from scipy.stats import chi2

    from pipeline.replay import sample

    count, draws = config.oracle_rows, config.oracle_draws
    wanted = max(1, count // 3)
    weights = np.arange(1, count + 1, dtype=np.float64)
    names = [str(i) for i in range(count)]
    columns: dict[str, Any] = {name: np.zeros(count) for name in ("usage", "novelty")}
    table = pa.table({"episode_id": names, "consolidate": [True] * count, "salience": weights / count, **columns})
    settings = config.replay.model_copy(update={"policy": "priority", "max_items": wanted, "cycles": 1})
    counts = np.zeros(count)
    for night in range(draws):
        drawn, _ = sample({KIND: table}, settings, config.seed, night)
        counts[[int(name) for name in drawn.column("episode_id").to_pylist()]] += 1
    expected, covariance = successive_rates(weights, wanted)
    # Rates sum to ``wanted``, so that one of them says nothing: the statistic has one degree of freedom fewer.
    off = (counts / draws - expected)[:-1]
    statistic = float(draws * off @ np.linalg.solve(covariance[:-1, :-1], off))
    return expected, counts / draws, statistic, float(chi2.isf(0.001, count - 1))


def successive_rates(weights: NDArray[np.float64], wanted: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Inclusion rates of successive draws in proportion to weight, without replacement, and their covariance.

    Exact, by the probability of every subset that can be drawn: for a few rows only.

    Args:
        weights: Of every row, positive, shape (n,).
        wanted: Rows that are drawn.

    Returns:
        Rates of shape (n,), and the covariance of the indicators of one draw, shape (n, n).
    """
    chances: dict[frozenset[int], float] = {frozenset(): 1.0}
    for _ in range(wanted):
        after: dict[frozenset[int], float] = {}
        for taken, chance in chances.items():
            left = [i for i in range(len(weights)) if i not in taken]
            total = weights[left].sum()
            for i in left:
                key = taken | {i}
                after[key] = after.get(key, 0.0) + chance * float(weights[i] / total)
        chances = after
    together = np.zeros((len(weights), len(weights)))
    for taken, chance in chances.items():
        members = list(taken)
        together[np.ix_(members, members)] += chance
    rates = together.diagonal().copy()
    return rates, together - np.outer(rates, rates)
