"""Two learners on the same images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

_NORMAL_95 = 1.96  # standard errors


def mean_difference(ours: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> tuple[float, tuple[float, float]]:
    """How much more of the same images are answered rightly, as a mean over tasks with its 95 % interval.

    The interval is normal: images are drawn, and tasks are not.

    Args:
        ours: By task, which images are answered rightly, shape (N,) bool.
        others: The same by somebody else.
    """
    by_task = [ours[task].double() - others[task].double() for task in ours]
    mean = float(np.mean([float(d.mean()) for d in by_task]))
    variance = sum(float(d.var(correction=0)) / len(d) for d in by_task) / len(by_task) ** 2
    half = _NORMAL_95 * variance**0.5
    return mean, (mean - half, mean + half)
