"""Figures that follow from accuracies and masks of several stages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

Accuracies = Mapping[str, Mapping[str, float]]
"""Accuracy by stage, in order, and task."""


def deltas(accuracies: Accuracies) -> dict[str, dict[str, dict[str, float | None]]]:
    """Change of each task's accuracy against the stage before and against the best earlier one; None at its first."""
    changes: dict[str, dict[str, dict[str, float | None]]] = {}
    seen: dict[str, list[float]] = {}
    for stage, by_task in accuracies.items():
        changes[stage] = {}
        for task, value in by_task.items():
            earlier = seen.setdefault(task, [])
            changes[stage][task] = {
                "previous": value - earlier[-1] if earlier else None,
                "best": value - max(earlier) if earlier else None,
            }
            earlier.append(value)
    return changes


def backward_transfer(accuracies: Accuracies, last: str) -> float:
    """Mean change of all tasks from right after they were learned to stage ``last`` (Lopez-Paz and Ranzato 2017)."""
    first: dict[str, float] = {}
    for by_task in accuracies.values():
        for task, value in by_task.items():
            first.setdefault(task, value)
    return float(np.mean([value - first[task] for task, value in accuracies[last].items()]))


def occupancy(
    masks: Mapping[str, Mapping[str, list[float]]], tasks: Mapping[str, str], banks: Mapping[str, list[int]]
) -> dict[str, dict[str, list[float]]]:
    """How much of each column its bank's tasks use: the mean of their masks, by stage and bank.

    Args:
        masks: Whole masks by stage and task.
        tasks: Bank of each task.
        banks: Columns of each bank.
    """
    used: dict[str, dict[str, list[float]]] = {}
    for stage, by_task in masks.items():
        used[stage] = {}
        for bank, columns in banks.items():
            own = [np.asarray(mask)[columns] for task, mask in by_task.items() if tasks[task] == bank]
            if own:
                used[stage][bank] = np.mean(own, axis=0).tolist()
    return used


def shares(right: Mapping[str, Tensor]) -> dict[str, float]:
    """Share of right answers by task."""
    return {task: 1 - float((~found).double().mean()) for task, found in right.items()}
