"""Traces: what spikes leave behind, for all steps of all samples at once.

    trace_t = factor trace_(t-1) + spike_t

Over a block of T steps that is one product with the lower triangular matrix factor^(t-s); blocks are as long as the
matrix is cheaper than a loop. Everything is differentiable in spikes and factor.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

BLOCK = 64  # steps of one product


def decay(tau: float | Tensor, step: float, kind: Literal["exponential", "euler"]) -> float | Tensor:
    """Share of a trace that is left after a step.

    Args:
        tau: Time constant in ms, a number or a scalar tensor that has gradients.
        step: Length of a step in ms.
        kind: exp(-step/tau), or Euler's 1 - step/tau.
    """
    if kind == "euler":
        return 1 - step / tau
    return torch.exp(-step / tau) if isinstance(tau, Tensor) else math.exp(-step / tau)


def trace(spikes: Tensor, factor: float | Tensor, before: Tensor | None = None) -> Tensor:
    """What spikes leave, those of the same step included.

    Args:
        spikes: Shape (T, ...).
        factor: Share left after a step, see `decay`.
        before: The trace at the step before the first one, shape (...); None is rest.

    Returns:
        Shape (T, ...).
    """
    blocks = []
    for block in torch.split(spikes, BLOCK):
        steps = len(block)
        ages = torch.arange(steps, device=block.device, dtype=block.dtype)
        matrix = (factor ** (ages[:, None] - ages).clamp_min(0)).tril()  # (t, s)
        left = (matrix @ block.reshape(steps, -1)).view(block.shape)
        if before is not None:
            left = left + (factor ** (ages + 1)).view(-1, *[1] * before.dim()) * before
        blocks.append(left)
        before = left[-1]
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks)


def earlier(traces: Tensor, factor: float | Tensor, before: Tensor | None = None) -> Tensor:
    """The same traces just before the spikes of each step: what earlier steps left alone; arguments as `trace`."""
    first = torch.zeros_like(traces[:1]) if before is None else before[None]
    return torch.cat([first, traces[:-1]]) * factor


def ahead(spikes: Tensor, factor: float | Tensor) -> Tensor:
    """The trace in reverse time: how much a trace left at each step is still worth to the spikes from there on.

    sum over t >= s of factor^(t-s) spike_t, shape (T, ...). So a sum over t of spike_t times a trace of others is the
    sum over s of this times those others' spikes: whichever has fewer neurons is filtered.
    """
    return trace(spikes.flip(0), factor).flip(0)
