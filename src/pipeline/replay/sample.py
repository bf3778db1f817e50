"""Weighted sampling without replacement: the same items whatever the order of rows, machine or thread count.

Each item draws the key -ln(u) / w and the smallest keys win (Efraimidis and Spirakis 2006, "Weighted random
sampling with a reservoir"); u comes from a hash of (seed, night, cycle, id).

    table, metrics = sample({"episodic": rows}, ReplayConfig(), seed=1337, night=0)      # schema replay/1

Rows are weighed and keyed as arrays, and only drawn rows become Python objects: ten million rows take seconds, and
little memory beyond their own columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.config import ReplayConfig
from pipeline.replay.apportionment import apportion
from pipeline.replay.hashing import identities, identity_hashes, normals, uniforms
from pipeline.replay.policies import policy_weights
from pipeline.replay.uniqueness import require_unique

REPLAY_SCHEMA = "replay/1"
_SCHEMA = pa.schema(
    [
        ("episode_id", pa.string()),
        ("session", pa.string()),
        ("kind", pa.string()),
        ("weight", pa.float64()),
        ("cycle", pa.int32()),
        ("order", pa.int32()),
    ]
)
_QUANTILES = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "max": 1.0}
_BLOCK = 1 << 16  # rows keyed at once: half a MiB an array, which the processor's caches hold


@dataclass(frozen=True)
class _Pool:
    """Eligible rows of one kind.

    Attributes:
        kind: Of the store.
        rows: All rows of the store.
        numbers: Which of them are eligible, ascending, shape (n,), int32 where that is enough.
        hashes: Hashed identities of the eligible ones, shape (n,).
        weights: Their weights, shape (n,).
    """

    kind: str
    rows: pa.Table
    numbers: NDArray[np.int32] | NDArray[np.int64]
    hashes: NDArray[np.uint64]
    weights: NDArray[np.float64]


class _Draw(NamedTuple):
    """One drawn row; as tuples, draws are ordered by key, and equal keys by identity."""

    key: float
    kind: str
    session: str
    episode_id: str
    weight: float


def sample(
    stores: Mapping[str, pa.Table], config: ReplayConfig, seed: int, night: int
) -> tuple[pa.Table, dict[str, Any]]:
    """Draws one night's replay.

    Each of ``config.cycles`` cycles draws anew and without replacement; together they draw at most
    ``config.max_items`` rows, shared out over the kinds by ``config.mix``. What a kind cannot fill goes to the others.

    Args:
        stores: Rows by kind of store, with ``episode_id``, ``consolidate``, what the policy reads, and optionally
            ``session`` and ``identity_hash`` (uint64, see `identity_hashes`; it saves hashing every id again). Rows
            with ``consolidate`` false, or a weight that is not finite and positive, are left out.
        config: Policy, weights, mix, cycles, budget, noise.
        seed: The run's seed.
        night: Number of the night, from 0.

    Returns:
        The draws in order of replay (schema ``replay/1``: ``weight`` is the policy's, ``order`` counts from 0 within
        the night) and the metrics: policy, requested, samples, distinct, shortfall, eligible and drawn by kind,
        quantiles of the weights of eligible and of drawn rows.

    Raises:
        ConfigError: The policy is unknown.
        DataError: An id occurs twice within one kind and session.
    """
    pools = {kind: _pool(kind, rows, config) for kind, rows in sorted(stores.items())}
    mix = {kind: float(getattr(config.mix, kind, 0.0)) for kind in pools}
    drawn: list[tuple[int, _Draw]] = []
    for cycle in range(config.cycles):
        budget = config.max_items // config.cycles + (cycle < config.max_items % config.cycles)
        shares = apportion(budget, mix, {kind: len(pool.numbers) for kind, pool in pools.items()})
        draws = [
            draw for kind, pool in pools.items() for draw in _draws(pool, shares[kind], config, seed, night, cycle)
        ]
        drawn += [(cycle, draw) for draw in sorted(draws)]
    return _table(drawn), _metrics(pools, [draw for _, draw in drawn], config)


def _pool(kind: str, rows: pa.Table, config: ReplayConfig) -> _Pool:
    """Eligible rows with their weights."""
    hashes = identity_hashes(kind, rows)
    require_unique(kind, rows, hashes)
    weights = policy_weights(rows, config)
    eligible = np.isfinite(weights) & (weights > 0)
    eligible &= rows.column("consolidate").to_numpy().astype(bool, copy=False)
    numbers: NDArray[np.int32] | NDArray[np.int64] = np.flatnonzero(eligible)
    if rows.num_rows <= np.iinfo(np.int32).max:
        numbers = numbers.astype(np.int32)
    if len(numbers) < len(weights):
        hashes, weights = hashes[numbers], weights[numbers]
    return _Pool(kind, rows, numbers, hashes, weights)


def _draws(pool: _Pool, count: int, config: ReplayConfig, seed: int, night: int, cycle: int) -> list[_Draw]:
    """The ``count`` rows with the smallest keys; of equal keys the smallest identities."""
    near, keys = smallest_keys(pool.hashes, pool.weights, count, (seed, night, cycle), config.noise_level)
    named = identities(_named(pool.rows).take(pa.array(pool.numbers[near])))
    found = zip(keys.tolist(), named, pool.weights[near].tolist(), strict=True)
    return sorted(_Draw(key, pool.kind, session, name, weight) for key, (session, name), weight in found)[:count]


def _named(rows: pa.Table) -> pa.Table:
    """Only the columns that name a row."""
    return rows.select([name for name in ("session", "episode_id") if name in rows.column_names])


def smallest_keys(
    hashes: NDArray[np.uint64],
    weights: NDArray[np.float64],
    count: int,
    stream: tuple[int, int, int],
    noise: float = 0.0,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers and Efraimidis-Spirakis keys of the rows that win, ascending by number.

    Args:
        hashes: Hashed identities, shape (n,).
        weights: Finite and positive, shape (n,).
        count: How many win; more do where keys are equal.
        stream: Seed, night and cycle.
        noise: Standard deviation of the jitter of log weights.
    """
    near, keys, limit = np.zeros(0, np.int64), np.zeros(0), np.inf
    for first in range(0, len(hashes) if count else 0, _BLOCK):
        rows = slice(first, first + _BLOCK)
        block = _keys(hashes[rows], weights[rows], stream, noise)
        within = np.flatnonzero(block <= limit)
        near, keys = np.concatenate([near, first + within]), np.concatenate([keys, block[within]])
        if len(keys) > 2 * count or (len(keys) > count and rows.stop >= len(hashes)):
            limit = np.partition(keys, count - 1)[count - 1]
            kept = keys <= limit
            near, keys = near[kept], keys[kept]
    return near, keys


def _keys(
    hashes: NDArray[np.uint64], weights: NDArray[np.float64], stream: tuple[int, int, int], noise: float
) -> NDArray[np.float64]:
    """-ln(u) / w of every row, shape (n,); the smallest win."""
    log_weights = np.log(weights)
    if noise > 0:
        log_weights = log_weights + noise * normals(hashes, *stream, 1)
    u = uniforms(hashes, *stream, 0)
    return np.asarray(-np.log(u) * np.exp(-log_weights))


def _table(drawn: list[tuple[int, _Draw]]) -> pa.Table:
    """Draws with their cycles as a table, in order of replay."""
    columns = {
        "episode_id": [draw.episode_id for _, draw in drawn],
        "session": [draw.session for _, draw in drawn],
        "kind": [draw.kind for _, draw in drawn],
        "weight": [draw.weight for _, draw in drawn],
        "cycle": [cycle for cycle, _ in drawn],
        "order": range(len(drawn)),
    }
    return pa.table(columns, schema=_SCHEMA)


def _metrics(pools: Mapping[str, _Pool], drawn: list[_Draw], config: ReplayConfig) -> dict[str, Any]:
    counts = Counter(draw.kind for draw in drawn)
    weights = np.concatenate([np.zeros(0), *(pool.weights for pool in pools.values())])
    return {
        "policy": config.policy,
        "cycles": config.cycles,
        "requested": config.max_items,
        "samples": len(drawn),
        "distinct": len({(draw.kind, draw.session, draw.episode_id) for draw in drawn}),
        "shortfall": config.max_items - len(drawn),
        "eligible_by_kind": {kind: len(pool.numbers) for kind, pool in pools.items()},
        "samples_by_kind": {kind: counts[kind] for kind in pools},
        "weight_quantiles": _quantiles(weights),
        "drawn_weight_quantiles": _quantiles(np.array([draw.weight for draw in drawn])),
    }


def _quantiles(weights: NDArray[np.float64]) -> dict[str, float]:
    """Minimum, quartiles and maximum by name, empty without weights; the array is partly sorted in place."""
    if not len(weights):
        return {}
    values = np.quantile(weights, list(_QUANTILES.values()), overwrite_input=True)
    return dict(zip(_QUANTILES, values.tolist(), strict=True))
