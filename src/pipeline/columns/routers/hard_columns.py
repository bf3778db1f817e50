"""Hard columns: the configuration names each task's column, and may let an earlier task's column answer beside it.

A residual task learns what its parent's column gets wrong: both columns answer, and only its own one moves.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.columns.router import Router, register_router


@register_router("hard_columns")
class HardColumns(Router):
    """Masks of ones over the task's own column and the one that it is residual from."""

    def columns_of(self, task: str) -> Sequence[int]:
        """The parent's column where there is one, then the task's own."""
        names = [self.tasks[task].residual_from, task]
        return [self.tasks[name].column_index or 0 for name in names if name is not None]

    def mask(self, task: str, prompt: Tensor) -> Tensor:
        """See `Router.mask`; ones."""
        return torch.ones(len(self.bank(task)))

    def gate(self, task: str, mask: Tensor) -> Tensor:
        """Only the last one, the task's own, moves."""
        gate = torch.zeros_like(mask)
        gate[-1] = 1
        return gate
