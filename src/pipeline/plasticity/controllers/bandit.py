"""A bandit over a few multiples of every constant together: exponential weights (Auer et al. 2002, Exp3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pipeline.config.liquid import LiquidModelConfig
from pipeline.plasticity.meta import AfterUpdate, MetaController, Multiples, Observation, register_controller

ARMS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
EXPLORATION = 0.1


@register_controller("bandit")
class BanditController(MetaController):
    """The learning rate's multiple is the arm; other constants stay as they are configured."""

    def __init__(self, config: LiquidModelConfig, steered: Sequence[str], layers: int, seed: int) -> None:
        super().__init__(config, steered, layers, seed)
        self.gains = torch.zeros(len(ARMS), dtype=torch.float64)
        self._last_loss: float | None = None
        self._size = 0.0
        self._turns = 0
        self._arm = ARMS.index(1.0)

    def probabilities(self) -> Tensor:
        """Of every arm, shape (A,)."""
        return (1 - EXPLORATION) * self.gains.softmax(0) + EXPLORATION / len(ARMS)

    def multiples(self) -> Multiples:
        """See `MetaController.multiples`."""
        found = torch.zeros(self.layers, len(self.steered))
        if "learning_rate" in self.steered:
            found[:, self.steered.index("learning_rate")] = math.log(ARMS[self._arm])
        return {name: found[:, number].exp() for number, name in enumerate(self.steered)}

    def observe(self, seen: Observation, after_update: AfterUpdate) -> None:
        """See `MetaController.observe`: reward is by how much the held-out loss fell, over its running size."""
        if self._last_loss is not None:
            reward = self._last_loss - seen.loss
            self._turns += 1
            keep = min(0.9, 1 - 1 / self._turns)
            self._size = keep * self._size + (1 - keep) * reward**2
            if self._size > 0:
                gain = max(-1.0, min(1.0, reward / self._size**0.5)) / float(self.probabilities()[self._arm])
                self.gains[self._arm] += self.config.meta_lr * gain / len(ARMS)
        self._last_loss = seen.loss
        self._arm = int(torch.multinomial(self.probabilities(), 1, generator=self.generator))

    def state(self) -> dict[str, Tensor]:
        """See `MetaController.state`."""
        known = self._last_loss is not None
        numbers = [self._last_loss or 0.0, float(known), self._size, float(self._turns), float(self._arm)]
        return {
            "gains": self.gains,
            "numbers": torch.tensor(numbers, dtype=torch.float64),
            "generator": self.generator.get_state(),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """See `MetaController.restore`."""
        self.gains = state["gains"].clone()
        last, known, self._size, turns, arm = state["numbers"].tolist()
        self._last_loss, self._turns, self._arm = last if known else None, int(turns), int(arm)
        self.generator.set_state(state["generator"])
