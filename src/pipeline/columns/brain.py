"""The network with the masks and prompts that it is asked by, and its file."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from pipeline.artifacts import write_bytes
from pipeline.columns.controller import Controller
from pipeline.columns.network import ColumnNetwork
from pipeline.config import ColumnsConfig
from pipeline.errors import ArtifactError


@dataclass(frozen=True)
class Brain:
    """A column network and its controller."""

    network: ColumnNetwork
    controller: Controller

    def logits(self, images: Tensor, asked_as: str) -> Tensor:
        """Answers under a task's prompt and mask, shape (B,); gradients reach the network alone."""
        mask, chosen = self.controller.mask(asked_as).detach(), self.controller.bank(asked_as)
        logits: Tensor = self.network(images, self.controller.prompt(asked_as).detach(), mask, chosen)
        return logits[:, 0]

    def frozen(self) -> Brain:
        """A copy that nothing changes."""
        return Brain(deepcopy(self.network).requires_grad_(False), deepcopy(self.controller).requires_grad_(False))

    def awake(self) -> Brain:
        """A copy that can learn."""
        return Brain(deepcopy(self.network).requires_grad_(True), deepcopy(self.controller).requires_grad_(True))


def newborn(config: ColumnsConfig) -> Brain:
    """A network that has learned nothing, with even masks."""
    masking = config.masking
    network = ColumnNetwork(
        masking.soft_columns.total_columns, masking.prompt_vector_dim, config.model, seed=config.seed
    )
    return Brain(network, Controller(config.tasks, masking, seed=config.seed))


def save_brain(brain: Brain, path: Path) -> Path:
    """Write all weights, mask logits and prompts as safetensors, atomically."""
    parts = {"network": brain.network, "controller": brain.controller}
    tensors = {
        f"{part}.{name}": value.detach().contiguous()
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }
    write_bytes(path, save(tensors))
    return path


def load_brain(path: Path, config: ColumnsConfig) -> Brain:
    """Read what `save_brain` wrote.

    Raises:
        ArtifactError: The file does not fit the configuration.
    """
    brain, tensors = newborn(config), load_file(path)
    try:
        for part, module in (("network", brain.network), ("controller", brain.controller)):
            own = {name.removeprefix(f"{part}."): v for name, v in tensors.items() if name.startswith(f"{part}.")}
            module.load_state_dict(own)
    except RuntimeError as error:
        raise ArtifactError(f"{path}: not a network of this configuration: {error}") from None
    return brain


def single_thread() -> None:
    """Small matrices are slower on several threads than on one."""
    torch.set_num_threads(1)
