"""Pre-training of the byte model, and its loss on a text.

losses = train_byte_model(model, corpus.train, config.train, seed)
nats = nats_per_byte(model, corpus.validation)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.config.sleepwake import ByteTrainConfig, OptimizerKind
from pipeline.errors import DataError, TrainingError
from pipeline.sleepwake.byte_model import ByteModel, byte_losses
from pipeline.sleepwake.muon import CpuMuon
from pipeline.sleepwake.text import Bytes

_BETAS = (0.9, 0.99)


def learning_rate(step: int, config: ByteTrainConfig) -> float:
    """Of step 0, 1, …: a linear rise, then half a cosine down to ``lr_min_share``."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    way = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.lr * (config.lr_min_share + (1 - config.lr_min_share) * (1 + math.cos(math.pi * way)) / 2)


class Together:
    """Several optimisers of different weights as one.

    Args:
        parts: The optimisers.
    """

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self.parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of all of them."""
        return [group for part in self.parts for group in part.param_groups]

    def step(self) -> None:
        """One step of each."""
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)


def byte_optimizer(model: nn.Module, lr: float, weight_decay: float, kind: OptimizerKind = "adamw") -> Together:
    """AdamW that decays matrices and leaves norms alone.

    Args:
        model: Its weights that need gradients are trained.
        lr: Learning rate of all.
        weight_decay: Of matrices.
        kind: With "muon" the matrices of layers without a bias are Muon's (Jordan et al. 2024,
            https://kellerjordan.github.io/posts/muon), whose steps are scaled to the root mean square of AdamW's, so
            that a rate means the same (Liu et al. 2025, arXiv:2502.16982).
    """
    layers = [part for part in model.modules() if isinstance(part, nn.Linear) and part.bias is None]
    matrices = [weight for layer in layers for weight in layer.parameters() if weight.requires_grad]
    hidden = matrices if kind == "muon" else []
    taken = {id(weight) for weight in hidden}
    rest = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in taken]
    groups = [
        {"params": [weight for weight in rest if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in rest if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, lr=lr, betas=_BETAS)
    if not hidden:
        return Together(adam)
    if hidden[0].device.type == "cpu":
        return Together(adam, CpuMuon(hidden, lr, weight_decay))
    return Together(adam, torch.optim.Muon(hidden, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"))


def half_precision(device: torch.device) -> torch.autocast:
    """Products in bfloat16 on a GPU, weights and sums as they are; nothing changes on a CPU."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


def windows(text: Bytes, count: int, length: int, generator: np.random.Generator) -> torch.Tensor:
    """Byte values (count, length), int64, from uniform places of a text (N,).

    Raises:
        DataError: The text is shorter than a window.
    """
    if len(text) < length:
        raise DataError(f"expected {length} bytes of text or more, a window, found {len(text)}")
    starts = generator.integers(len(text) - length + 1, size=count)
    return torch.from_numpy(text[starts[:, None] + np.arange(length)].astype(np.int64))


def train_byte_model(
    model: ByteModel,
    text: Bytes,
    config: ByteTrainConfig,
    seed: int,
    told: Callable[[int, float], None] = lambda step, loss: None,
) -> list[float]:
    """Train in place, on the device of the model.

    Args:
        model: Windows are as long as its context, since positions that training never saw are not known.
        text: Byte values, uint8 (N,).
        config: The optimiser.
        seed: Of the places of windows.
        told: Called with each step and its loss.

    Returns:
        The loss of every step in nats a byte, before the step.

    Raises:
        TrainingError: A loss is not finite.
    """
    generator, device = np.random.default_rng(seed), model.embedding.weight.device
    optimizer, losses = byte_optimizer(model, config.lr, config.weight_decay, config.optimizer), list[float]()
    model.train()
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        loss = byte_losses(model, windows(text, config.batch, model.config.context, generator).to(device)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise TrainingError(f"step {step}: the loss is {losses[-1]}; lower lr={config.lr}")
        told(step, losses[-1])
    return losses


@torch.no_grad()
def along_text(
    model: ByteModel, text: Bytes, measure: Callable[[ByteModel, torch.Tensor], torch.Tensor], batch: int = 32
) -> torch.Tensor:
    """A figure of every byte of a text (N,), on the CPU.

    Windows of the model's context advance by half of it, and of all but the first the second half alone is taken, so
    that every byte counts once and sees half a context or more, or all that stands before it.

    Args:
        model: Put into evaluation mode.
        text: uint8 (N,).
        measure: Byte values (B, L) to figures (B, L), as `byte_losses` and `entropies`.
        batch: Windows a pass.

    Raises:
        DataError: The text is empty.
    """
    if not len(text):
        raise DataError("expected text to measure, found none")
    model.eval()
    device, length = model.embedding.weight.device, model.config.context
    stride = length // 2
    padded = np.concatenate([text, np.zeros(length, np.uint8)])  # what stands behind the text is not taken
    starts = np.arange(0, max(1, len(text) - length + stride), stride)
    found = list[torch.Tensor]()
    for first in range(0, len(starts), batch):
        places = starts[first : first + batch, None] + np.arange(length)  # (B, L)
        fresh = (np.arange(length) >= length - stride) | (places[:, :1] == 0)
        figures = measure(model, torch.from_numpy(padded[places].astype(np.int64)).to(device))
        found.append(figures.cpu()[torch.from_numpy(fresh & (places < len(text)))])
    return torch.cat(found)


def nats_per_byte(model: ByteModel, text: Bytes) -> float:
    """Mean loss over a text (N,), see `along_text`; divided by ln 2 it is bits a byte."""
    return float(along_text(model, text, byte_losses).double().mean())
