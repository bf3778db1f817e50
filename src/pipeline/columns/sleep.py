"""Consolidation by night: what each task knows moves under its parent's prompt and mask.

The teacher is the whole network as it fell asleep, masks and prompts included, and is asked as the task was learned;
the student is asked as its parent. Batches of all tasks come in random order: replayed in blocks, the last task
overwrites the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipeline.columns.augmentation import shifted_together
from pipeline.columns.brain import Brain
from pipeline.columns.gated_adam import GatedAdam, cosine
from pipeline.columns.losses import answered, distillation_loss
from pipeline.columns.schedules import schedule_of
from pipeline.columns.tasks import Examples
from pipeline.config.columns import ColumnSleepConfig, TaskConfig


def parents_of(tasks: Sequence[TaskConfig]) -> dict[str, str]:
    """The task as which each one is asked after sleep: its parent, or itself."""
    return {task.name: task.consolidate_into or task.name for task in tasks}


def primes_of(taught_as: Mapping[str, str], asked_as: Mapping[str, str]) -> frozenset[str]:
    """Tasks that a sleep moves into their parents' columns."""
    return frozenset(task for task, parent in asked_as.items() if taught_as.get(task, parent) != parent)


def consolidate(
    brain: Brain,
    replayed: Mapping[str, Examples],
    taught_as: Mapping[str, str],
    asked_as: Mapping[str, str],
    config: ColumnSleepConfig,
    generator: np.random.Generator,
    on_step: Callable[[str, float], None] | None = None,
) -> int:
    """Sleep: the network learns to answer every replayed task as its parent is asked.

    Args:
        brain: Its network is changed in place, where the parents' masks let it; masks and prompts stay.
        replayed: Examples by task.
        taught_as: The task as which the teacher is asked: itself, or its parent if an earlier sleep consolidated it.
        asked_as: The task as which each is asked afterwards.
        config: Section ``sleep``.
        generator: Orders the replay and shifts the images.
        on_step: Told task and loss (nats) of every step.

    Returns:
        The number of steps.
    """
    teacher, optimiser, controller = brain.frozen(), GatedAdam(brain.network), brain.controller
    sizes = {task: len(own) for task, own in replayed.items()}
    schedule = schedule_of(sizes, primes_of(taught_as, asked_as), config, generator)
    steps = schedule.steps
    for step, (task, rows) in enumerate(schedule):
        batch, parent = replayed[task].take(rows), asked_as[task]
        images = shifted_together(batch.images, config.shift, generator)
        taught = teacher.logits(images, taught_as[task])
        mask, chosen = controller.mask(parent).detach(), controller.bank(parent)
        logits, spikes = answered(brain.network, images, controller.prompt(parent).detach(), mask, chosen)
        losses = distillation_loss(logits, taught, batch.answers, config)
        (losses.mean() + spikes).backward()  # type: ignore[no-untyped-call]
        rate = cosine(step, steps, config.learning_rate, config.learning_rate_end)
        optimiser.step(chosen, controller.gate(parent, mask), rate)
        found = losses.detach().double().numpy()
        schedule.note(task, rows, found)
        if on_step is not None:
            on_step(task, float(found.mean()))
    return steps
