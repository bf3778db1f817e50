"""What a continual learner is: it is told when a task ends while it learns, and nothing while it answers.

    @register_learner("er")
    class ExperienceReplay(Learner):
        def loss(self, images, labels): ...

All learners share network, optimiser and number of steps, and differ in what they minimise and keep.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from pipeline.columns.network import ColumnNetwork
from pipeline.config.columns import ColumnModelConfig
from pipeline.config.continual import LearnerConfig
from pipeline.continual import learners
from pipeline.continual.stream import Labelled
from pipeline.registry import Registry

HIDDEN = 200  # neurons in all, however many columns they form


class DivergedError(ArithmeticError):
    """A learner's steps were too large for what it minimises."""


class Learner(ABC):
    """One network that sees tasks one after another.

    Args:
        config: Settings of the method.
        outputs: How many answers there are.
        seed: Of weights, buffer and replay.
    """

    def __init__(self, config: LearnerConfig, outputs: int, seed: int) -> None:
        self.config = config
        self.generator = np.random.default_rng([seed, 1])
        model = ColumnModelConfig(hidden_per_column=HIDDEN // config.columns, neuron=config.neuron)
        self.network = ColumnNetwork(config.columns, 0, model, seed, outputs)
        self.steps = 0
        self._columns = torch.arange(config.columns)
        self._even = torch.ones(config.columns)
        self._no_prompt = torch.zeros(0)

    def logits(self, images: Tensor) -> Tensor:
        """Every column's vote, summed: images (B, 784) from 0 to 1, logits (B, K)."""
        found: Tensor = self.network(images, self._no_prompt, self._even, self._columns)
        return found

    def learn(self, task: Labelled) -> None:
        """See a task's images once, in steps of ``batch_size``."""
        for start in range(0, len(task), self.config.batch_size):
            rows = slice(start, start + self.config.batch_size)
            images, labels = task.images[rows], task.labels[rows]
            self.descend(self.loss(images.float() / 255, labels), self.config.learning_rate, self._even)
            self.observed(images, labels)
        self.ended(task)

    @abstractmethod
    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """What a step minimises, in nats: images (B, 784) from 0 to 1, labels (B,)."""

    def observed(self, images: Tensor, labels: Tensor) -> None:  # noqa: B027 - most learners keep nothing
        """Keep what is wanted of a batch after its step; images are uint8."""

    def ended(self, task: Labelled) -> None:  # noqa: B027 - most learners need not know
        """Learn that a task is over."""

    def memory(self) -> dict[str, int]:
        """Bytes of everything beyond a single network of `HIDDEN` neurons that is kept between tasks, by kind."""
        return {}

    def descend(self, loss: Tensor, learning_rate: float, gate: Tensor) -> None:
        """One step of stochastic gradient descent; ``gate`` (C,) scales each column's move.

        Raises:
            DivergedError: The loss is not a finite number.
        """
        if not torch.isfinite(loss):
            raise DivergedError(f"the loss is {float(loss.detach())} at step {self.steps}")
        loss.backward()  # type: ignore[no-untyped-call]
        self.steps += 1
        with torch.no_grad():
            for parameter in self.network.parameters():
                if parameter.grad is not None:
                    scale = (learning_rate * gate).view([-1] + [1] * (parameter.dim() - 1))
                    parameter.sub_(scale * parameter.grad)
                    parameter.grad = None


LEARNERS = Registry[type[Learner]]("learner", learners)
register_learner = LEARNERS.register
"""Class decorator: makes the learner known to ``learner: name`` of the configuration."""


def new_learner(config: LearnerConfig, outputs: int, seed: int) -> Learner:
    """The learner that a configuration names.

    Raises:
        ConfigError: There is none of that name.
    """
    return LEARNERS.find(config.learner)(config, outputs, seed)
