"""Training of a byte latent transformer and what it costs; its loss along a text."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pipeline.config.sleepwake import ByteTrainConfig
from pipeline.config.sleepwake_parts import LatentConfig
from pipeline.errors import TrainingError
from pipeline.sleepwake.byte_model import VOCABULARY, ByteModel, entropies
from pipeline.sleepwake.byte_training import byte_optimizer, learning_rate, windows
from pipeline.sleepwake.flops import attention_flops, block_flops, linear_flops, transformer_flops
from pipeline.sleepwake.latent_model import LatentModel, stride_starts
from pipeline.sleepwake.patcher import mean_patch, patch_starts
from pipeline.sleepwake.text import Bytes

Cutter = Callable[[Tensor], Tensor]
"""Byte values (B, L) to starts of patches, bool (B, L)."""


def entropy_cutter(model: ByteModel, threshold: float, config: LatentConfig) -> Cutter:
    """Patches by the entropies of a small byte model, see `patcher`."""

    @torch.no_grad()
    def cut(values: Tensor) -> Tensor:
        return patch_starts(entropies(model, values), threshold, config.patches)

    return cut


def stride_cutter(mean: float) -> Cutter:
    """Patches of a fixed mean size."""

    def cut(values: Tensor) -> Tensor:
        return stride_starts(len(values), values.shape[1], mean).to(values.device)

    return cut


def latent_flops(config: LatentConfig, length: int, patches: float) -> float:
    """Operations of one forward pass over a sequence of so many bytes and patches; its cutting is not counted."""
    local, latent = config.local, config.latent
    once = linear_flops(length + 1, local.width, local.width)
    encoder = local.layers * block_flops(local, length + 1)
    pooling = (
        linear_flops(length, 1, local.width) * patches  # means
        + 2 * once * length / (length + 1)  # keys and values
        + linear_flops(1, local.width, local.width) * patches
        + attention_flops(1, length, local.width) * patches
        + linear_flops(1, 2 * local.width, latent.width) * patches
    )
    dense = 4 * linear_flops(1, latent.width, latent.width) + 2 * linear_flops(1, latent.width, latent.hidden)
    middle = latent.layers * (dense * patches + 4 * patches**2 * latent.width)
    read = linear_flops(1, latent.width, local.width) * patches
    decoder = local.layers * block_flops(local, length) + linear_flops(length, local.width, VOCABULARY)
    return encoder + pooling + middle + read + decoder


def flops_a_byte(config: LatentConfig, mean: float, cut_by_entropy: bool) -> float:
    """Operations of a forward pass a byte, those of the patcher included if it is asked."""
    length = config.local.context
    total = latent_flops(config, length, length / mean)
    if cut_by_entropy:
        total += transformer_flops(config.patcher, length, VOCABULARY)
    return total / length


def latent_losses(model: LatentModel, values: Tensor, starts: Tensor) -> Tensor:
    """Nats of every byte, (B, L)."""
    logits = model(values, starts)
    return cross_entropy(logits.flatten(0, 1), values.flatten(), reduction="none").view(values.shape)


def train_latent_model(
    model: LatentModel,
    text: Bytes,
    cut: Cutter,
    config: ByteTrainConfig,
    seed: int,
    told: Callable[[int, float], None] = lambda step, loss: None,
) -> float:
    """Train in place; the mean size of the patches that it saw.

    Args:
        model: Windows are as long as its local context.
        text: Byte values, uint8 (N,).
        cut: Where patches begin.
        config: The optimiser.
        seed: Of the places of windows.
        told: Called with each step and its loss.

    Raises:
        TrainingError: A loss is not finite.
    """
    generator, device = np.random.default_rng(seed), model.embedding.weight.device
    optimizer, sizes = byte_optimizer(model, config.lr, config.weight_decay, config.optimizer), 0.0
    model.train()
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        values = windows(text, config.batch, model.config.local.context, generator).to(device)
        starts = cut(values)
        sizes += mean_patch(starts)
        loss = latent_losses(model, values, starts).mean()
        if not math.isfinite(loss.item()):
            raise TrainingError(f"step {step} of the latent model: the loss is {loss.item()}; lower lr={config.lr}")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        told(step, loss.item())
    model.eval()
    return sizes / config.steps


@torch.no_grad()
def nats_in_windows(
    losses: Callable[[Tensor], Tensor], text: Bytes, length: int, device: str, batch: int = 32
) -> float:
    """Mean loss a byte over the second halves of windows of a text that advance by half a window.

    The same bytes count for every model, each behind half a window or more; patches are cut anew in every window.

    Args:
        losses: Byte values (B, L) to nats (B, L).
        text: uint8 (N,).
        length: Of a window.
        device: Where the model is.
        batch: Windows a pass.
    """
    half = length // 2
    starts = np.arange(0, len(text) - length + 1, half)
    found = list[Tensor]()
    for first in range(0, len(starts), batch):
        places = starts[first : first + batch, None] + np.arange(length)
        values = torch.from_numpy(text[places].astype(np.int64)).to(device)
        found.append(losses(values)[:, half:].flatten().cpu())
    return float(torch.cat(found).double().mean())
