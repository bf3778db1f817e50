"""Which columns a task uses, and the prompt that tells the network which task is asked.

controller = Controller(config.tasks, config.masking)
mask = controller.mask("task1")                 # softmax over the bank, nothing outside of it
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.config.columns import MaskingConfig, TaskConfig


def hashed_prompt(text: str, length: int) -> Tensor:
    """A unit vector that follows from a text alone, shape (length,): normal numbers seeded by its SHA-256."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return _unit(torch.randn(length, generator=torch.Generator().manual_seed(seed)))


class Controller(nn.Module):
    """Mask logits and prompts of all tasks.

    Args:
        tasks: In the order of the configuration.
        config: Section ``masking``.
        seed: Of learned prompts.
    """

    def __init__(self, tasks: Sequence[TaskConfig], config: MaskingConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        soft = config.soft_columns
        banks = {
            "base": torch.arange(soft.base_columns),
            "novel": torch.arange(soft.base_columns, soft.total_columns),
        }
        self._banks = {task.name: banks[task.bank] for task in tasks}
        self._names = [task.name for task in tasks]
        self.logits = nn.ParameterDict({key(n): nn.Parameter(torch.zeros(len(b))) for n, b in self._banks.items()})
        if config.prompt_mode == "hash":
            vectors = [hashed_prompt(task.prompt or task.name, config.prompt_vector_dim) for task in tasks]
        else:
            generator = torch.Generator().manual_seed(seed)
            spread = config.prompt_vector_dim**-0.5
            vectors = [torch.randn(config.prompt_vector_dim, generator=generator) * spread for _ in tasks]
        self.vectors = nn.ParameterDict({key(n): nn.Parameter(v) for n, v in zip(self._names, vectors, strict=True)})

    @property
    def tasks(self) -> list[str]:
        """Names of all tasks."""
        return list(self._names)

    def bank(self, task: str) -> Tensor:
        """Indices of the columns among which a task finds its own, shape (K,)."""
        return self._banks[task]

    def mask(self, task: str) -> Tensor:
        """How much each column of the task's bank counts, shape (K,); sums to one."""
        return torch.softmax(self.logits[key(task)] / self.config.soft_columns.temperature, 0)

    def prompt(self, task: str) -> Tensor:
        """The task's prompt vector of length one, shape (P,)."""
        return _unit(self.vectors[key(task)])

    def whole_mask(self, task: str) -> Tensor:
        """The mask over all columns, exact zeros outside the task's bank, shape (C,)."""
        whole = torch.zeros(self.config.soft_columns.total_columns)
        whole[self.bank(task)] = self.mask(task).detach()
        return whole

    @torch.no_grad()
    def settle(self, task: str, earlier: Sequence[str]) -> None:
        """Start a task's mask off the columns that earlier tasks of its bank use, before it has learned anything.

        An even mask would move those columns with the first steps, however soon it leaves them.
        """
        taken = [self.mask(other) for other in earlier if torch.equal(self.bank(other), self.bank(task))]
        if taken:
            self.logits[key(task)].copy_(-self.config.soft_columns.occupied_penalty * torch.stack(taken).sum(0))

    def regulariser(self, task: str, earlier: Sequence[str]) -> Tensor:
        """What training adds to a task's loss so that it settles on one column, away from earlier tasks' columns.

        Args:
            task: Whose mask is learned.
            earlier: Tasks that were learned before; those of other banks do not count.
        """
        soft, mask = self.config.soft_columns, self.mask(task)
        entropy = -(mask * mask.clamp_min(1e-9).log()).sum()
        balance = (mask - 1 / len(mask)).square().mean()
        loss = soft.lambda_entropy * entropy + soft.lambda_balance * balance
        rivals = [self.mask(other).detach() for other in earlier if torch.equal(self.bank(other), self.bank(task))]
        if rivals:
            loss = loss + soft.lambda_overlap * torch.stack([mask @ rival for rival in rivals]).mean()
        return loss

    @torch.no_grad()
    def step(self, task: str) -> None:
        """One SGD step of the task's mask, and of its prompt where prompts are learned; clears their gradients."""
        moved = [(self.logits[key(task)], self.config.soft_columns.mask_learning_rate)]
        if self.config.prompt_mode == "learned_task_id":
            moved.append((self.vectors[key(task)], self.config.prompt_learning_rate))
        for parameter, rate in moved:
            if parameter.grad is not None:
                parameter -= rate * parameter.grad
        self.zero_grad(set_to_none=True)


def _unit(vector: Tensor) -> Tensor:
    unit: Tensor = vector / torch.linalg.vector_norm(vector)
    return unit


def key(task: str) -> str:
    """A task's name as PyTorch allows it in a parameter's name, which has no dots."""
    return task.replace(".", "·")
