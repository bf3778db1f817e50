"""Completion of a partial cue: one step of a modern Hopfield network.

    q' = softmax(beta * P q)^T P        Ramsauer et al. 2021, "Hopfield Networks is All You Need", equation 3

One step is enough when the patterns are separated: it lands on the stored pattern nearest to the cue, up to
exp(-beta * margin).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def complete(
    cue: NDArray[np.float32], patterns: NDArray[np.float32], beta: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Completes ``cue`` towards the stored ``patterns``.

    Args:
        cue: Partial or noisy vector, shape (d,); any length but zero.
        patterns: Stored unit vectors, shape (n, d), n at least 1.
        beta: Inverse temperature; larger is nearer to the single best pattern.

    Returns:
        The completed unit vector, shape (d,), and each pattern's share in it, shape (n,), summing to one.

    Raises:
        ValueError: No pattern, or a cue of length zero.
    """
    norm = float(np.linalg.norm(cue))
    if len(patterns) == 0 or norm == 0.0:
        raise ValueError(f"expected at least one pattern and a cue that is not zero, found {len(patterns)} and {norm}")
    logits = beta * (patterns @ (cue / norm))  # (n,)
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    completed = shares @ patterns  # (d,)
    completed /= max(float(np.linalg.norm(completed)), 1e-12)
    return completed.astype(np.float32), shares.astype(np.float32)
