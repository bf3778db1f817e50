"""Keys and queries: every column has a key, the task's prompt is the query, and a learned task owns its column.

    mask = softmax((keys . prompt - penalty [owned by another] + bonus [owned by this task]) / temperature)

The keys are learned with the task, but for those that another task owns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from pipeline.columns.router import Router, register_router, safe_log
from pipeline.config.columns import MaskingConfig, TaskConfig

FREE = -1


@register_router("key_query")
class KeyQuery(Router):
    """Masks from scores of keys; owners keep others away."""

    def __init__(self, tasks: Sequence[TaskConfig], config: MaskingConfig, seed: int) -> None:
        super().__init__(tasks, config, seed)
        columns, length = config.soft_columns.total_columns, config.prompt_vector_dim
        generator = torch.Generator().manual_seed(seed)
        self.keys = nn.Parameter(torch.randn(columns, length, generator=generator) / length**0.5)  # (C, P)
        self.owners: Tensor
        self.register_buffer("owners", torch.full((columns,), FREE))  # number of the task, (C,)
        self._numbers = {task.name: number for number, task in enumerate(tasks)}

    def _scores(self, task: str, prompt: Tensor) -> Tensor:
        bank, settings = self.bank(task), self.config.key_query
        owners = self.owners[bank]
        own, others = owners == self._numbers[task], (owners != FREE) & (owners != self._numbers[task])
        scores = self.keys[bank] @ prompt - settings.occupied_penalty * others + settings.lock_bonus * own
        return scores

    def mask(self, task: str, prompt: Tensor) -> Tensor:
        """See `Router.mask`; sums to one."""
        settings = self.config.key_query
        temperature = settings.base_temperature if self.tasks[task].bank == "base" else settings.novel_temperature
        if bool((self.owners == self._numbers[task]).any()):
            temperature = settings.locked_temperature
        return torch.softmax(self._scores(task, prompt) / temperature, 0)

    def regulariser(self, task: str, earlier: Sequence[str], prompt: Tensor) -> Tensor:
        """Entropy, what is missing of the margin, and in the base bank the cosine to keys that are owned."""
        settings, scores, mask = self.config.key_query, self._scores(task, prompt), self.mask(task, prompt)
        novel = self.tasks[task].bank == "novel"
        weight = settings.lambda_entropy_novel if novel else settings.lambda_entropy
        loss = -weight * torch.dot(mask, safe_log(mask))
        if len(scores) > 1:
            best, next_best = scores.topk(2).values
            loss = loss + settings.lambda_margin * torch.relu(settings.margin - (best - next_best))
        bank = self.bank(task)
        taken = bank[(self.owners[bank] != FREE) & (self.owners[bank] != self._numbers[task])]
        if not novel and len(taken):
            expected = mask @ self.keys[bank]  # (P,)
            near = cosine_similarity(self.keys[taken].detach(), expected.expand(len(taken), -1))
            loss = loss + settings.lambda_cosine * torch.relu(near).mean()
        return loss

    @torch.no_grad()
    def step(self, task: str) -> None:
        """One SGD step of the keys that no other task owns."""
        if self.keys.grad is not None:
            free = (self.owners == FREE) | (self.owners == self._numbers[task])
            self.keys.sub_(self.config.key_query.key_learning_rate * self.keys.grad * free.view(-1, 1))
            self.keys.grad = None

    @torch.no_grad()
    def finish(self, task: str, prompt: Tensor) -> None:
        """The task owns the column that it settled on, if it did and nobody has it."""
        weight, at = self.mask(task, prompt).max(0)
        column = self.bank(task)[at]
        if weight >= self.config.key_query.assign_at and self.owners[column] == FREE:
            self.owners[column] = self._numbers[task]

    def release(self, task: str) -> None:
        """The task's column is free again."""
        self.owners[self.owners == self._numbers[task]] = FREE
