"""Weighted sampling without replacement: the same items whatever the order of rows, machine or thread count.

Each item draws the key -ln(u) / w and the smallest keys win (Efraimidis and Spirakis 2006, "Weighted random
sampling with a reservoir"); u comes from a hash of (seed, night, cycle, id).

    table, metrics = sample({"episodic": rows}, ReplayConfig(), seed=1337, night=0)      # schema replay/1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.config import ReplayConfig
from pipeline.errors import DataError
from pipeline.replay.apportionment import apportion
from pipeline.replay.hashing import hash_ids, normals, uniforms
from pipeline.replay.policies import policy_weights

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
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class _Pool:
    """Eligible rows of one kind, sorted by identity."""

    ids: list[str]
    sessions: list[str]
    hashes: NDArray[np.uint64]
    weights: NDArray[np.float64]


def sample(
    stores: Mapping[str, pa.Table], config: ReplayConfig, seed: int, night: int
) -> tuple[pa.Table, dict[str, Any]]:
    """Draws one night's replay.

    Each of ``config.cycles`` cycles draws anew and without replacement; together they draw at most
    ``config.max_items`` rows, shared out over the kinds by ``config.mix``. What a kind cannot fill goes to the others.

    Args:
        stores: Rows by kind of store, with ``episode_id``, ``consolidate``, what the policy reads, and optionally
            ``session``. Rows with ``consolidate`` false, or a weight that is not finite and positive, are left out.
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
    drawn: list[dict[str, Any]] = []
    for cycle in range(config.cycles):
        budget = config.max_items // config.cycles + (cycle < config.max_items % config.cycles)
        shares = apportion(budget, mix, {kind: len(pool.ids) for kind, pool in pools.items()})
        keyed: list[tuple[float, str, str, str, float]] = []
        for kind, pool in pools.items():
            keys = _keys(pool, config.noise_level, seed, night, cycle)
            for i in np.argsort(keys, kind="stable")[: shares[kind]]:  # pools are sorted by identity: ties go by id
                keyed.append((float(keys[i]), kind, pool.sessions[i], pool.ids[i], float(pool.weights[i])))
        for _, kind, session, episode_id, weight in sorted(keyed):
            row = {"episode_id": episode_id, "session": session, "kind": kind, "weight": weight}
            drawn.append({**row, "cycle": cycle, "order": len(drawn)})
    return pa.Table.from_pylist(drawn, schema=_SCHEMA), _metrics(pools, drawn, config)


def _pool(kind: str, rows: pa.Table, config: ReplayConfig) -> _Pool:
    """Eligible rows with their weights."""
    ids = [str(name) for name in rows.column("episode_id").to_pylist()]
    sessions = rows.column("session").to_pylist() if "session" in rows.column_names else [""] * len(ids)
    identities = list(zip(sessions, ids, strict=True))
    if len(set(identities)) != len(identities):
        twice = next(identity for identity in sorted(identities) if identities.count(identity) > 1)
        raise DataError(f"replay of {kind} rows: (session, id) {twice} occurs twice; ids must be unique")
    weights = policy_weights(rows, config)
    eligible = np.isfinite(weights) & (weights > 0) & np.asarray(rows.column("consolidate").to_pylist(), dtype=bool)
    order = [i for i in sorted(range(len(ids)), key=identities.__getitem__) if eligible[i]]
    return _Pool(
        ids=[ids[i] for i in order],
        sessions=[sessions[i] for i in order],
        hashes=hash_ids([f"{kind}\x1f{sessions[i]}\x1f{ids[i]}" for i in order]),
        weights=weights[order],
    )


def _keys(pool: _Pool, noise: float, seed: int, night: int, cycle: int) -> NDArray[np.float64]:
    """Efraimidis-Spirakis keys, shape (n,); the smallest win."""
    log_weights = np.log(pool.weights)
    if noise > 0:
        log_weights = log_weights + noise * normals(pool.hashes, seed, night, cycle, 1)
    u = uniforms(pool.hashes, seed, night, cycle, 0)
    return np.asarray(-np.log(u) * np.exp(-log_weights))


def _metrics(pools: Mapping[str, _Pool], drawn: list[dict[str, Any]], config: ReplayConfig) -> dict[str, Any]:
    by_kind = {kind: sum(row["kind"] == kind for row in drawn) for kind in pools}
    weights = np.concatenate([pool.weights for pool in pools.values()]) if pools else np.zeros(0)
    return {
        "policy": config.policy,
        "cycles": config.cycles,
        "requested": config.max_items,
        "samples": len(drawn),
        "distinct": len({(row["kind"], row["session"], row["episode_id"]) for row in drawn}),
        "shortfall": config.max_items - len(drawn),
        "eligible_by_kind": {kind: len(pool.ids) for kind, pool in pools.items()},
        "samples_by_kind": by_kind,
        "weight_quantiles": _quantiles(weights),
        "drawn_weight_quantiles": _quantiles(np.array([row["weight"] for row in drawn])),
    }


def _quantiles(weights: NDArray[np.float64]) -> dict[str, float]:
    """Minimum, quartiles and maximum by name; empty without weights."""
    if not len(weights):
        return {}
    names = ("min", "q25", "median", "q75", "max")
    return {name: float(value) for name, value in zip(names, np.quantile(weights, _QUANTILES), strict=True)}
