"""A day: task after task, with a sleep after each but the last, which is the night's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pipeline.continual.stream import Labelled, Stream
from pipeline.plasticity.protocol import Learner


def moments_of(tasks: int) -> list[str]:
    """Names of the day's moments: ``after_1``, …, and ``after_sleep``."""
    return [f"after_{number + 1}" for number in range(tasks)] + ["after_sleep"]


def right(learner: Learner, judged: Labelled) -> Tensor:
    """Which images are answered rightly, bool (N,)."""
    return learner.logits(judged.images).argmax(-1) == judged.labels


def accuracies(learner: Learner, stream: Stream) -> list[float]:
    """Share of right answers by task, also of those to come."""
    return [float(right(learner, judged).float().mean()) for judged in stream.judged]


def live(learner: Learner, stream: Stream, on_task: Callable[[], None] | None = None) -> list[list[float]]:
    """The whole day and night of a learner, in memory.

    Args:
        learner: Has seen nothing.
        stream: What is learned, and what it is judged by.
        on_task: Told when a task is over.

    Returns:
        Its accuracies after every task, the last row after the night's sleep.
    """
    after = []
    for task in stream.train:
        learner.wake(task)
        learner.sleep()
        after.append(accuracies(learner, stream))
        if on_task:
            on_task()
    return after


def mean_images(stream: Stream) -> int:
    """Images of a task, on average."""
    return round(float(np.mean([len(task) for task in stream.train])))


def single_thread() -> None:
    """Small matrices are slower on several threads than on one."""
    torch.set_num_threads(1)
