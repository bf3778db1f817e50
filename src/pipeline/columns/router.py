"""How tasks find their columns: one file of `pipeline.columns.routers` for each ``masking.mode``.

@register_router("soft_columns")
class SoftMasks(Router):
    def mask(self, task, prompt): ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.columns import routers
from pipeline.config.columns import MaskingConfig, TaskConfig
from pipeline.registry import Registry


class Router(nn.Module, ABC):
    """Masks of all tasks over their banks' columns.

    Args:
        tasks: In the order of the configuration.
        config: Section ``masking``.
        seed: Of initial values.
    """

    def __init__(self, tasks: Sequence[TaskConfig], config: MaskingConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        self.tasks: Mapping[str, TaskConfig] = {task.name: task for task in tasks}
        self._banks = {task: torch.tensor(self.columns_of(task)) for task in self.tasks}

    def columns_of(self, task: str) -> Sequence[int]:
        """The columns among which a task finds its own."""
        return self.config.soft_columns.bank(self.tasks[task].bank)

    def bank(self, task: str) -> Tensor:
        """Indices of those columns, shape (K,)."""
        return self._banks[task]

    @abstractmethod
    def mask(self, task: str, prompt: Tensor) -> Tensor:
        """How much each column of the task's bank counts, shape (K,); ``prompt`` has shape (P,)."""

    def gate(self, task: str, mask: Tensor) -> Tensor:
        """How much of a step each column of the bank takes while the task is learned, shape (K,) as its mask."""
        return mask.detach()

    def begin(self, task: str, earlier: Sequence[str]) -> None:
        """Prepare to learn a task, while ``earlier`` ones have columns of their own."""

    def regulariser(self, task: str, earlier: Sequence[str], prompt: Tensor) -> Tensor:
        """What training adds to a task's loss, a scalar."""
        return torch.zeros(())

    def step(self, task: str) -> None:
        """Move what is learned of the task's mask by one step, and clear its gradients."""

    def finish(self, task: str, prompt: Tensor) -> None:
        """Take note that a task was learned."""

    def release(self, task: str) -> None:
        """Take note that a task needs no column of its own any more."""


ROUTERS = Registry[type[Router]]("masking.mode", routers)
register_router = ROUTERS.register
"""Class decorator: makes the router known to ``masking.mode``."""


def new_router(tasks: Sequence[TaskConfig], config: MaskingConfig, seed: int) -> Router:
    """The router that ``masking.mode`` names.

    Raises:
        ConfigError: There is none of that name.
    """
    return ROUTERS.find(config.mode)(tasks, config, seed)


def safe_log(mask: Tensor) -> Tensor:
    """Logarithm of a mask, finite where nothing is left of a weight; shape (K,)."""
    return mask.clamp_min(1e-9).log()


def key(task: str) -> str:
    """A task's name as PyTorch allows it in a parameter's name, which has no dots."""
    return task.replace(".", "·")
