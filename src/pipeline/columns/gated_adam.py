"""Adam whose step, and not its gradient, is scaled by a mask: a column that is not used does not move at all.

Adam divides by the gradient's own size, so a gradient scaled by .01 would still make a full step.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.columns.network import ColumnNetwork, consecutive, parameters_by_column

BETAS = (0.9, 0.99)
_TINY = 1e-8


class GatedAdam:
    """Adam (Kingma and Ba 2015) with one gate and one step count a column.

    Args:
        network: What is trained.
    """

    def __init__(self, network: ColumnNetwork) -> None:
        self._parameters = parameters_by_column(network)
        self._first = {name: torch.zeros_like(p) for name, p in self._parameters.items()}
        self._second = {name: torch.zeros_like(p) for name, p in self._parameters.items()}
        self._steps = torch.zeros(network.columns)

    @torch.no_grad()
    def step(self, chosen: Tensor, gate: Tensor, learning_rate: float) -> None:
        """Move the chosen columns and clear all gradients.

        Args:
            chosen: Indices of columns, shape (K,).
            gate: Factor of each one's step, shape (K,).
            learning_rate: Step size.
        """
        at = consecutive(chosen)
        self._steps[at] += 1
        steps = self._steps[at]
        (b1, b2) = BETAS
        for name, parameter in self._parameters.items():
            if parameter.grad is None:
                continue
            gradient = parameter.grad[at]
            first = self._first[name][at].lerp_(gradient, 1 - b1)
            second = self._second[name][at].mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
            shape = [-1] + [1] * (gradient.dim() - 1)
            scale = (learning_rate * gate / (1 - b1**steps)).view(shape)
            spread = (second / (1 - b2**steps).view(shape)).sqrt_().add_(_TINY)
            moved = parameter[at].sub_(spread.reciprocal_().mul_(first).mul_(scale))
            if not isinstance(at, slice):  # else they are views
                self._first[name][at], self._second[name][at], parameter[at] = first, second, moved
            parameter.grad = None


def cosine(step: int, steps: int, peak: float, end: float) -> float:
    """Learning rate of a step: from ``peak`` down to ``end * peak`` along half a cosine."""
    return peak * (end + (1 - end) * 0.5 * (1 + math.cos(math.pi * step / max(1, steps))))
