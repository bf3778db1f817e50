"""Percentile bootstrap intervals, resampled by fact and then by form within the fact.

Forms of one fact are not independent: a fact that is learned answers most of them. Resampling facts first (Efron and
Tibshirani 1993, ch. 8; Davison and Hinkley 1997, §3.8) keeps that, and the interval is as wide as it should be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_CELLS = 4_000_000  # random numbers held at once: 32 MB


def _padded(scores: Floats, facts: Sequence[str]) -> tuple[Floats, NDArray[np.int64]]:
    """One row per fact, padded with zeros: scores (F, M) and the number of forms of each fact (F,)."""
    _, owner = np.unique(np.asarray(facts, dtype=str), return_inverse=True)
    counts = np.bincount(owner)
    order = np.argsort(owner, kind="stable")
    column = np.arange(len(scores)) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.zeros((len(counts), int(counts.max())))
    table[owner[order], column] = scores[order]
    return table, counts


def resampled_means(scores: Floats, facts: Sequence[str], resamples: int, seed: int) -> Floats:
    """Bootstrap distribution of the mean over all rows.

    Args:
        scores: One score per row, (n,).
        facts: The fact of each row, n names.
        resamples: B, the number of bootstrap samples.
        seed: Of the random generator.

    Returns:
        (B,) means.
    """
    table, counts = _padded(np.asarray(scores, dtype=np.float64), facts)
    n_facts, width = table.shape
    generator = np.random.default_rng(seed)
    means: list[Floats] = []
    for start in range(0, resamples, max(1, _CELLS // table.size)):
        size = min(max(1, _CELLS // table.size), resamples - start)
        fact = generator.integers(n_facts, size=(size, n_facts))  # (b, F)
        drawn = counts[fact]  # (b, F) forms of each drawn fact
        form = (generator.random((size, n_facts, width)) * drawn[..., None]).astype(np.int64)  # (b, F, M)
        values = table[fact[..., None], form] * (np.arange(width) < drawn[..., None])
        means.append(values.sum(axis=(1, 2)) / drawn.sum(axis=1))
    return np.concatenate(means)


def _interval(values: Floats, level: float) -> list[float]:
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return [float(low), float(high)]


def mean_interval(
    scores: Floats, facts: Sequence[str], resamples: int = 2000, seed: int = 1337, level: float = 0.95
) -> list[float] | None:
    """The ``[low, high]`` percentile interval of a mean, or None without rows."""
    if not len(scores):
        return None
    return _interval(resampled_means(scores, facts, resamples, seed), level)


def difference_interval(
    first: tuple[Floats, Sequence[str], Sequence[str]],
    second: tuple[Floats, Sequence[str], Sequence[str]],
    resamples: int = 2000,
    seed: int = 1337,
    level: float = 0.95,
) -> list[float] | None:
    """The interval of ``mean(first) - mean(second)``; each side is (scores, facts, forms).

    The same facts and forms on both sides are compared row by row; other sides are resampled independently.
    """
    (a, a_facts, a_forms), (b, b_facts, b_forms) = first, second
    if not len(a) or not len(b):
        return None
    left = dict(zip(zip(a_facts, a_forms, strict=True), a, strict=True))
    right = dict(zip(zip(b_facts, b_forms, strict=True), b, strict=True))
    if left.keys() == right.keys() and len(left) == len(a) and len(right) == len(b):
        keys = sorted(left)
        paired = np.array([left[key] - right[key] for key in keys])
        return mean_interval(paired, [fact for fact, _ in keys], resamples, seed, level)
    means = resampled_means(a, a_facts, resamples, seed) - resampled_means(b, b_facts, resamples, seed + 1)
    return _interval(means, level)
