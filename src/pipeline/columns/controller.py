"""Which columns a task uses, and the prompt that tells the network which task is asked.

controller = Controller(config.tasks, config.masking)
mask = controller.mask("task1")                 # over the columns of the task's bank, nothing outside of it
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.columns.router import key, new_router
from pipeline.config.columns import MaskingConfig, TaskConfig


def hashed_prompt(text: str, length: int) -> Tensor:
    """A unit vector that follows from a text alone, shape (length,): normal numbers seeded by its SHA-256."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return _unit(torch.randn(length, generator=torch.Generator().manual_seed(seed)))


class Controller(nn.Module):
    """Masks and prompts of all tasks.

    Args:
        tasks: In the order of the configuration.
        config: Section ``masking``.
        seed: Of learned prompts and keys.
    """

    def __init__(self, tasks: Sequence[TaskConfig], config: MaskingConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        self.router = new_router(tasks, config, seed)
        length = config.prompt_vector_dim
        self._hashed = {task.name: hashed_prompt(task.prompt or task.name, length) for task in tasks}
        self.vectors = nn.ParameterDict()
        if config.prompt_mode == "learned_task_id":
            generator = torch.Generator().manual_seed(seed)
            for task in tasks:
                self.vectors[key(task.name)] = nn.Parameter(torch.randn(length, generator=generator) * length**-0.5)

    @property
    def tasks(self) -> list[str]:
        """Names of all tasks."""
        return list(self.router.tasks)

    def bank(self, task: str) -> Tensor:
        """Indices of the columns among which a task finds its own, shape (K,)."""
        return self.router.bank(task)

    def mask(self, task: str) -> Tensor:
        """How much each column of the task's bank counts, shape (K,)."""
        return self.router.mask(task, self.prompt(task))

    def gate(self, task: str, mask: Tensor) -> Tensor:
        """How much of a step each column of the bank takes while the task is learned, shape (K,) as its mask."""
        return self.router.gate(task, mask)

    def prompt(self, task: str) -> Tensor:
        """The task's prompt vector of length one, shape (P,)."""
        return _unit(self.vectors[key(task)]) if self.vectors else self._hashed[task]

    def whole_mask(self, task: str) -> Tensor:
        """The mask over all columns, exact zeros outside the task's bank, shape (C,)."""
        whole = torch.zeros(self.config.soft_columns.total_columns)
        whole[self.bank(task)] = self.mask(task).detach()
        return whole

    def begin(self, task: str, earlier: Sequence[str]) -> None:
        """Prepare to learn a task.

        Args:
            task: Whose mask will be learned.
            earlier: Tasks that were learned before and have columns of their own.
        """
        self.router.begin(task, earlier)

    def finish(self, task: str) -> None:
        """Take note that a task was learned."""
        self.router.finish(task, self.prompt(task))

    def release(self, task: str) -> None:
        """Take note that a task is asked as its parent from now on, and needs no column of its own."""
        self.router.release(task)

    def regulariser(self, task: str, earlier: Sequence[str]) -> Tensor:
        """What training adds to a task's loss so that it settles on one column, away from earlier tasks' columns.

        Args:
            task: Whose mask is learned.
            earlier: Tasks that were learned before and have columns of their own; those of other banks do not count.
        """
        return self.router.regulariser(task, earlier, self.prompt(task))

    @torch.no_grad()
    def step(self, task: str) -> None:
        """One SGD step of the task's mask, and of its prompt where prompts are learned; clears their gradients."""
        self.router.step(task)
        if self.vectors and (vector := self.vectors[key(task)]).grad is not None:
            vector -= self.config.prompt_learning_rate * vector.grad
            vector.grad = None


def _unit(vector: Tensor) -> Tensor:
    unit: Tensor = vector / torch.linalg.vector_norm(vector)
    return unit
