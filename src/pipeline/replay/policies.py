"""Replay policies: from the rows of a store to one weight each.

A new policy is one function with a decorator:

    @register_policy("recency")
    def recency(rows: pa.Table, config: ReplayConfig) -> NDArray[np.float64]: ...
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.config import ReplayConfig
from pipeline.errors import ConfigError

Policy = Callable[[pa.Table, ReplayConfig], NDArray[np.float64]]
POLICIES: dict[str, Policy] = {}
_LEAST_LOSS = 0.01  # nats; nothing is left to fade unseen


def register_policy(name: str) -> Callable[[Policy], Policy]:
    """Decorator: makes ``replay.policy=name`` choose the function, which returns one weight per row, shape (n,)."""

    def register(policy: Policy) -> Policy:
        if name in POLICIES:
            raise ValueError(f"replay policy {name!r} is already registered")
        POLICIES[name] = policy
        return policy

    return register


def policy_weights(rows: pa.Table, config: ReplayConfig) -> NDArray[np.float64]:
    """Weights of ``rows`` under the configured policy, shape (n,).

    Raises:
        ConfigError: No such policy.
    """
    if config.policy not in POLICIES:
        raise ConfigError(f"replay.policy: expected one of {', '.join(sorted(POLICIES))}, found {config.policy!r}")
    return POLICIES[config.policy](rows, config)


@register_policy("uniform")
def uniform(rows: pa.Table, config: ReplayConfig) -> NDArray[np.float64]:
    """Every row weighs one."""
    return np.ones(rows.num_rows)


@register_policy("priority")
def priority(rows: pa.Table, config: ReplayConfig) -> NDArray[np.float64]:
    """Weighted sum of salience, usage and novelty, each in 0..1.

    Salience and novelty are as stored. Usage is a count; it enters as log(1 + usage) over its largest value, so that
    it ranks rows without letting one much used row silence the others.
    """
    usage = np.log1p(_column(rows, "usage"))
    most = max(float(usage.max(initial=0.0)), 1e-12)
    usage *= config.weights.usage  # in place from here on: a column of ten million rows is 80 MB
    usage /= most
    total = config.weights.salience * _column(rows, "salience")
    total += usage
    total += np.multiply(config.weights.novelty, _column(rows, "novelty"), out=usage)
    return np.asarray(total)


@register_policy("spaced")
def spaced(rows: pa.Table, config: ReplayConfig) -> NDArray[np.float64]:
    """What is due, the longer overdue the likelier; what is not due rests (expanding intervals of 1-2-4-8 nights)."""
    overdue = _column(rows, "overdue")
    return np.where(overdue >= 0, 1.0 + overdue, 0.0)


@register_policy("loss")
def loss(rows: pa.Table, config: ReplayConfig) -> NDArray[np.float64]:
    """What was known worst when it was last trained, by its loss in nats (compare SuRe: by surprise)."""
    return np.maximum(_column(rows, "loss"), _LEAST_LOSS)


def _column(rows: pa.Table, name: str) -> NDArray[np.float64]:
    """A numeric column as float64, shape (n,)."""
    return np.asarray(rows.column(name).to_numpy(), dtype=np.float64)
