"""Adam whose step, and not its gradient, is scaled by a mask: a column that is not used does not move at all.

Adam divides by the gradient's own size, so a gradient scaled by .01 would still make a full step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.columns.network import ColumnNetwork, parameters_by_column

BETAS = (0.9, 0.99)
_TINY = 1e-8


class GatedAdam:
    """Adam (Kingma and Ba 2015) with one gate and one step count a column.

    Args:
        network: What is trained; its parameters stay where they are in memory.
    """

    def __init__(self, network: ColumnNetwork) -> None:
        self._parameters = list(parameters_by_column(network).values())
        by_column = zip(*(parameter.detach().unbind() for parameter in self._parameters), strict=True)
        self._columns = [_Column(own) for own in by_column]

    @torch.no_grad()
    def step(self, chosen: Tensor, gate: Tensor, learning_rate: float) -> None:
        """Move the chosen columns and clear all gradients.

        Args:
            chosen: Indices of columns, shape (K,).
            gate: Factor of each one's step, shape (K,).
            learning_rate: Step size.
        """
        gradients = [parameter.grad for parameter in self._parameters]
        for column, share in zip(chosen.tolist(), gate.tolist(), strict=True):
            own = [None if gradient is None else gradient[column] for gradient in gradients]
            self._columns[column].step(own, learning_rate * share)
        for parameter in self._parameters:
            parameter.grad = None


class _Column:
    """Adam for the parameters of one column, which are views of the network's."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._kept = [(own, torch.zeros_like(own), torch.zeros_like(own)) for own in parameters]
        self._steps = torch.zeros(())

    def step(self, gradients: Sequence[Tensor | None], learning_rate: float) -> None:
        """Move the parameters that have a gradient."""
        self._steps += 1
        moved = [(g, *kept) for g, kept in zip(gradients, self._kept, strict=True) if g is not None]
        if moved:
            given, parameters, first, second = zip(*moved, strict=True)
            torch._fused_adam_(  # the kernel of torch.optim.Adam(fused=True): everything is read and written once
                parameters,
                given,
                first,
                second,
                [],
                [self._steps] * len(moved),
                lr=learning_rate,
                beta1=BETAS[0],
                beta2=BETAS[1],
                weight_decay=0.0,
                eps=_TINY,
                amsgrad=False,
                maximize=False,
            )


def cosine(step: int, steps: int, peak: float, end: float) -> float:
    """Learning rate of a step: from ``peak`` down to ``end * peak`` along half a cosine."""
    return peak * (end + (1 - end) * 0.5 * (1 + math.cos(math.pi * step / max(1, steps))))
