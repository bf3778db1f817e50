"""Learning by day: one task after the other, each in the columns that its mask finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.columns.augmentation import shifted_together
from pipeline.columns.controller import Controller
from pipeline.columns.gated_adam import GatedAdam, cosine
from pipeline.columns.losses import answered
from pipeline.columns.network import ColumnNetwork
from pipeline.columns.tasks import Examples
from pipeline.config.columns import WakeConfig


def learn(
    network: ColumnNetwork,
    controller: Controller,
    task: str,
    earlier: Sequence[str],
    examples: Examples,
    config: WakeConfig,
    generator: np.random.Generator,
    on_step: Callable[[str, float], None] | None = None,
) -> int:
    """Train the network and the mask of one task.

    Args:
        network: Changed in place.
        controller: Its mask of ``task`` is changed in place, and its prompt where prompts are learned.
        task: What is learned.
        earlier: Tasks that were learned before and have columns of their own, which the mask avoids.
        examples: What it is learned from.
        config: Section ``training``.
        generator: Shuffles the examples and shifts the images.
        on_step: Told task and loss (nats) of every step.

    Returns:
        The number of steps.
    """
    optimiser, chosen = GatedAdam(network), controller.bank(task)
    controller.begin(task, earlier)
    batches = -(-len(examples) // config.batch_size)
    steps = config.epochs * batches
    for epoch in range(config.epochs):
        order = torch.from_numpy(generator.permutation(len(examples)))
        for number, batch in enumerate(torch.split(order, config.batch_size)):
            mask = controller.mask(task)
            images = shifted_together(examples.images[batch], config.shift, generator)
            logits, spikes = answered(network, images, controller.prompt(task), mask, chosen)
            loss = binary_cross_entropy_with_logits(logits, examples.answers[batch])
            (loss + spikes + controller.regulariser(task, earlier)).backward()  # type: ignore[no-untyped-call]
            rate = cosine(epoch * batches + number, steps, config.learning_rate, config.learning_rate_end)
            optimiser.step(chosen, controller.gate(task, mask), rate)
            controller.step(task)
            if on_step is not None:
                on_step(task, float(loss.detach()))
    controller.finish(task)
    return steps
