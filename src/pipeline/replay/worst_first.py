"""Which samples to replay again: those with the largest losses for certain, and others by chance.

A moving average of each sample's loss says how badly it is known (prioritised replay, Schaul et al. 2016); a floor
keeps every sample's probability above zero, so that nothing is left to fade unseen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 1e-12  # probability of a sample without loss where there is no floor


def worst_first(
    losses: NDArray[np.float64], top: float, extra: float, floor: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Choose samples without repetition, in random order.

    Args:
        losses: Recent loss of every sample, not negative, shape (n,).
        top: Share of samples that come because their loss is largest, 0 to 1.
        extra: Share drawn from the others, with probability (1 - floor) loss / sum + floor / count.
        floor: Part of the probability that is even, 0 to 1.
        generator: Draws.

    Returns:
        Indices, shape (round(top n) + what is left for round(extra n),).
    """
    count = len(losses)
    ranked = np.argsort(-losses, kind="stable")
    worst, others = ranked[: round(top * count)], ranked[round(top * count) :]
    wanted = min(round(extra * count), len(others))
    if not wanted:
        return generator.permutation(worst)
    weights = losses[others]
    even = np.full(len(others), 1 / len(others))
    likely = weights / weights.sum() if weights.sum() > 0 else even
    chance = np.maximum((1 - floor) * likely + floor * even, _SMALLEST)
    drawn = generator.choice(others, size=wanted, replace=False, p=chance / chance.sum())
    return generator.permutation(np.concatenate([worst, drawn]))


def moving_average(old: NDArray[np.float64], new: NDArray[np.float64], momentum: float) -> NDArray[np.float64]:
    """momentum old + (1 - momentum) new."""
    return momentum * old + (1 - momentum) * new
