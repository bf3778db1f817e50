"""Meta-plasticity: performance decides how plastic the synapses are.

    controller = new_controller(config, steered=("learning_rate", "a_plus"), layers=1, seed=0)
    multiples = controller.multiples()             # of the rule's constants, by layer and name, until the next call
    controller.observe(Observation(performance, loss, weight_change))

A controller is judged by what it is told: how the loss on images that no step learned from changed while its multiples
were in use. A new one is one file of `pipeline.plasticity.controllers`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.config.liquid import LiquidModelConfig
from pipeline.plasticity import controllers
from pipeline.registry import Registry

WIDEST = math.log(8.0)
"""Constants stay within an eighth and eight times their configured values."""

Multiples = Mapping[str, Tensor]
"""By name of a constant, shape (layers,)."""

AfterUpdate = Callable[[Multiples], Tensor]
"""The loss on held-out images after one update of the rule with these multiples; gradients reach the multiples."""


@dataclass(frozen=True)
class Observation:
    """What happened since the last one.

    Attributes:
        performance: Accuracy on held-out images, 0 to 1.
        loss: Cross-entropy on them, nats.
        weight_change: Mean absolute change of the steered synapses.
    """

    performance: float
    loss: float
    weight_change: float


class MetaController(ABC):
    """Chooses multiples of a rule's constants.

    Args:
        config: Step, history and size.
        steered: Names of the constants.
        layers: How many layers have constants of their own.
        seed: Of everything that it draws.
    """

    def __init__(self, config: LiquidModelConfig, steered: Sequence[str], layers: int, seed: int) -> None:
        self.config, self.steered, self.layers = config, tuple(steered), layers
        self.generator = torch.Generator().manual_seed(seed)

    @abstractmethod
    def multiples(self) -> Multiples:
        """What is in use until the next observation."""

    @abstractmethod
    def observe(self, seen: Observation, after_update: AfterUpdate) -> None:
        """Learn from what happened, and choose anew."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Everything that it remembers, by name; the generator's state beside it."""

    @abstractmethod
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""

    def by_name(self, logarithms: Tensor) -> Multiples:
        """Logarithms (layers, names) as multiples within the widest range."""
        bounded = WIDEST * torch.tanh(logarithms / WIDEST)
        return {name: bounded[:, number].exp() for number, name in enumerate(self.steered)}


CONTROLLERS = Registry[type[MetaController]]("meta_controller", controllers)
register_controller = CONTROLLERS.register
"""Class decorator: makes the controller known to ``meta_controller``."""


def new_controller(config: LiquidModelConfig, steered: Sequence[str], layers: int, seed: int) -> MetaController:
    """The controller that the configuration names.

    Raises:
        ConfigError: There is none of that name.
    """
    return CONTROLLERS.find(config.meta_controller)(config, steered, layers, seed)
