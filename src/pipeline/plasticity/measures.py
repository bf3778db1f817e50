"""What an accuracy matrix says: A[i][j] is the accuracy on task j after task i was learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Matrix = Sequence[Sequence[float]]
"""Row i after task i, a column for every task, also of those to come."""


def average_accuracy(after: Matrix) -> float:
    """Mean over all tasks at the end."""
    return float(np.mean(after[-1]))


def forgetting(after: Matrix) -> float:
    """Mean over all tasks but the last of the best earlier accuracy minus the last one (Chaudhry et al. 2018)."""
    values = np.array(after)
    lost = [values[task:-1, task].max() - values[-1, task] for task in range(len(values) - 1)]
    return float(np.mean(lost)) if lost else 0.0


def backward_transfer(after: Matrix) -> float:
    """Mean over all tasks but the last of A[last][j] - A[j][j] (Lopez-Paz and Ranzato 2017)."""
    values = np.array(after)
    gained = [values[-1, task] - values[task, task] for task in range(len(values) - 1)]
    return float(np.mean(gained)) if gained else 0.0


def forward_transfer(after: Matrix, untrained: Sequence[float]) -> float:
    """Mean over all tasks but the first of A[j - 1][j] minus the untrained network's accuracy on j (ibid.)."""
    values = np.array(after)
    gained = [values[task - 1, task] - untrained[task] for task in range(1, len(values))]
    return float(np.mean(gained)) if gained else 0.0
