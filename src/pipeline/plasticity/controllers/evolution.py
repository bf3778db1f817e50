"""An evolution strategy over the logarithms of the constants (Salimans et al. 2017, arXiv:1703.03864).

Candidates come in pairs, a perturbation and its mirror image, each in use for one interval; the difference of what
both did to the held-out loss moves the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pipeline.config.liquid import LiquidModelConfig
from pipeline.plasticity.meta import AfterUpdate, MetaController, Multiples, Observation, register_controller

SIGMA = 0.3  # standard deviation of the perturbations, nepers


@register_controller("evolution")
class EvolutionController(MetaController):
    """One antithetic pair at a time; rewards are divided by their running size, so that meta_lr has no unit."""

    def __init__(self, config: LiquidModelConfig, steered: Sequence[str], layers: int, seed: int) -> None:
        super().__init__(config, steered, layers, seed)
        self.mean = torch.zeros(layers, len(self.steered))
        self._perturbation = self._drawn()
        self._mirrored = False
        self._first = 0.0  # reward of the first of the pair
        self._last_loss: float | None = None
        self._size = 0.0  # running mean of squared differences of rewards
        self._pairs = 0

    def _drawn(self) -> Tensor:
        return torch.randn(self.mean.shape, generator=self.generator)

    def multiples(self) -> Multiples:
        """See `MetaController.multiples`."""
        return self.by_name(self.mean + (-SIGMA if self._mirrored else SIGMA) * self._perturbation)

    def observe(self, seen: Observation, after_update: AfterUpdate) -> None:
        """See `MetaController.observe`: reward is by how much the held-out loss fell."""
        if self._last_loss is None:  # nothing to compare with yet
            self._last_loss = seen.loss
            return
        reward, self._last_loss = self._last_loss - seen.loss, seen.loss
        if not self._mirrored:
            self._first, self._mirrored = reward, True
            return
        difference = self._first - reward
        self._pairs += 1
        keep = min(0.9, 1 - 1 / self._pairs)
        self._size = keep * self._size + (1 - keep) * difference**2
        if self._size > 0:
            self.mean += self.config.meta_lr * difference / self._size**0.5 * self._perturbation
        self._perturbation, self._mirrored = self._drawn(), False

    def state(self) -> dict[str, Tensor]:
        """See `MetaController.state`."""
        known = self._last_loss is not None
        numbers = [float(self._mirrored), self._first, self._last_loss or 0.0, float(known), self._size]
        return {
            "mean": self.mean,
            "perturbation": self._perturbation,
            "numbers": torch.tensor([*numbers, float(self._pairs)], dtype=torch.float64),
            "generator": self.generator.get_state(),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """See `MetaController.restore`."""
        self.mean, self._perturbation = state["mean"].clone(), state["perturbation"].clone()
        mirrored, self._first, last, known, self._size, pairs = state["numbers"].tolist()
        self._mirrored, self._last_loss, self._pairs = bool(mirrored), last if known else None, int(pairs)
        self.generator.set_state(state["generator"])
