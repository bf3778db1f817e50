"""Consolidation by night: what each task knows moves under its parent's prompt and mask.

The teacher is the whole network as it fell asleep, masks and prompts included, and is asked as the task was learned;
the student is asked as its parent. Batches of all tasks come in random order: replayed in blocks, the last task
overwrites the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.columns.brain import Brain
from pipeline.columns.gated_adam import GatedAdam, cosine
from pipeline.columns.schedules import schedule_of
from pipeline.columns.tasks import Examples
from pipeline.config.columns import ColumnSleepConfig, TaskConfig

SIDE = 28  # pixels
COLDEST = 1e-3  # temperature


def parents_of(tasks: Sequence[TaskConfig]) -> dict[str, str]:
    """The task as which each one is asked after sleep: its parent, or itself."""
    return {task.name: task.consolidate_into or task.name for task in tasks}


def shifted(images: Tensor, rows: int, columns: int) -> Tensor:
    """Images (B, 784) moved down and to the right; what leaves on one side enters blank on the other."""
    if not rows and not columns:
        return images
    moved = torch.zeros_like(images).view(-1, SIDE, SIDE)
    square = images.view(-1, SIDE, SIDE)
    down, right = slice(max(0, rows), SIDE + min(0, rows)), slice(max(0, columns), SIDE + min(0, columns))
    up, left = slice(max(0, -rows), SIDE + min(0, -rows)), slice(max(0, -columns), SIDE + min(0, -columns))
    moved[:, down, right] = square[:, up, left]
    return moved.view(-1, SIDE * SIDE)


def distillation_loss(student: Tensor, teacher: Tensor, answers: Tensor, config: ColumnSleepConfig) -> Tensor:
    """Cross-entropy to the teacher's tempered answers, times T squared (Hinton et al. 2015), and to the labels.

    Args:
        student: Logits, shape (B,).
        teacher: Logits, shape (B,).
        answers: True answers, shape (B,).
        config: Weights and temperature T.

    Returns:
        Each example's loss in nats, shape (B,).
    """
    heat = max(config.temperature, COLDEST)
    taught = binary_cross_entropy_with_logits(student / heat, torch.sigmoid(teacher / heat), reduction="none")
    loss = config.distillation_weight * max(1.0, heat) ** 2 * taught
    if config.label_weight:
        labelled = binary_cross_entropy_with_logits(student, answers, reduction="none")
        loss = loss + config.label_weight * labelled
    return loss


def consolidate(
    brain: Brain,
    replayed: Mapping[str, Examples],
    parents: Mapping[str, str],
    config: ColumnSleepConfig,
    generator: np.random.Generator,
    on_step: Callable[[str, float], None] | None = None,
) -> int:
    """Sleep: the network learns to answer every replayed task as its parent is asked.

    Args:
        brain: Its network is changed in place, where the parents' masks let it; masks and prompts stay.
        replayed: Examples by task.
        parents: The task as which each is asked afterwards.
        config: Section ``sleep``.
        generator: Orders the replay and shifts the images.
        on_step: Told task and loss (nats) of every step.

    Returns:
        The number of steps.
    """
    teacher, optimiser = brain.frozen(), GatedAdam(brain.network)
    schedule = schedule_of({task: len(own) for task, own in replayed.items()}, parents, config, generator)
    steps = schedule.steps
    for step, (task, rows) in enumerate(schedule):
        batch, parent = replayed[task].take(rows), parents[task]
        down, right = generator.integers(-config.shift, config.shift + 1, 2)
        images = shifted(batch.images, int(down), int(right))
        taught = teacher.logits(images, task)
        losses = distillation_loss(brain.logits(images, parent), taught, batch.answers, config)
        losses.mean().backward()  # type: ignore[no-untyped-call]
        gate = brain.controller.mask(parent).detach()
        rate = cosine(step, steps, config.learning_rate, config.learning_rate_end)
        optimiser.step(brain.controller.bank(parent), gate, rate)
        found = losses.detach().double().numpy()
        schedule.note(task, rows, found)
        if on_step is not None:
            on_step(task, float(found.mean()))
    return steps
