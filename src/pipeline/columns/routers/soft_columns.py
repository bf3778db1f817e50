"""Soft masks: every task has logits over its bank, learned with the task, and their softmax is the mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.columns.router import Router, key, register_router, safe_log
from pipeline.config.columns import MaskingConfig, TaskConfig


@register_router("soft_columns")
class SoftColumns(Router):
    """Masks that settle on one column, away from those that are taken."""

    def __init__(self, tasks: Sequence[TaskConfig], config: MaskingConfig, seed: int) -> None:
        super().__init__(tasks, config, seed)
        self.logits = nn.ParameterDict(
            {key(task): nn.Parameter(torch.zeros(len(self.bank(task)))) for task in self.tasks}
        )

    def mask(self, task: str, prompt: Tensor) -> Tensor:
        """See `Router.mask`; sums to one."""
        return torch.softmax(self.logits[key(task)] / self.config.soft_columns.temperature, 0)

    def _rivals(self, task: str, earlier: Sequence[str]) -> list[Tensor]:
        """Masks of earlier tasks of the same bank."""
        bank = self.tasks[task].bank
        return [self.mask(other, torch.zeros(0)).detach() for other in earlier if self.tasks[other].bank == bank]

    @torch.no_grad()
    def begin(self, task: str, earlier: Sequence[str]) -> None:
        """Start the mask off the columns that earlier tasks of its bank use, before it has learned anything.

        An even mask would move those columns with the first steps, however soon it leaves them.
        """
        if taken := self._rivals(task, earlier):
            self.logits[key(task)].copy_(-self.config.soft_columns.occupied_penalty * torch.stack(taken).sum(0))

    def regulariser(self, task: str, earlier: Sequence[str], prompt: Tensor) -> Tensor:
        """Entropy, distance from the even mask but for a constant, and overlap with earlier masks of the same bank.

        mask . (lambda_balance / K mask - lambda_entropy log mask + lambda_overlap mean of the earlier masks)
        """
        soft, mask = self.config.soft_columns, self.mask(task, prompt)
        costs = torch.sub(mask * (soft.lambda_balance / len(mask)), safe_log(mask), alpha=soft.lambda_entropy)
        if rivals := self._rivals(task, earlier):
            costs = costs + soft.lambda_overlap * torch.stack(rivals).mean(0)
        return torch.dot(mask, costs)

    @torch.no_grad()
    def step(self, task: str) -> None:
        """One SGD step of the task's logits."""
        logits = self.logits[key(task)]
        if logits.grad is not None:
            logits -= self.config.soft_columns.mask_learning_rate * logits.grad
            logits.grad = None
