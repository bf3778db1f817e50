"""Traces: what spikes leave behind, for all steps of all samples at once.

    trace_t = factor trace_(t-1) + spike_t

Over T steps that is one product with the lower triangular matrix factor^(t-s). Long recordings are cut into blocks, and
what one block leaves to the next is a trace again, of fewer steps. Everything is differentiable in spikes and factor.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

BLOCK = 64  # steps of one product at most


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
    steps, rows = len(spikes), spikes.reshape(len(spikes), -1)
    start = None if before is None else before.reshape(-1)
    return _blocks(rows, factor, start)[:steps].view(spikes.shape)


def _blocks(rows: Tensor, factor: float | Tensor, before: Tensor | None) -> Tensor:
    """See `trace`; rows (T, F), before (F,). The last traces of the blocks are traces of whole blocks themselves."""
    steps, size = len(rows), min(BLOCK, len(rows))
    count = -(-steps // size)
    if count * size > steps:
        rows = torch.cat([rows, rows.new_zeros(count * size - steps, rows.shape[1])])
    ages = torch.arange(size, device=rows.device, dtype=rows.dtype)
    matrix = (factor ** (ages[:, None] - ages).clamp_min(0)).tril()  # (t, s)
    if count == 1:
        left = matrix @ rows
        return left if before is None else left + (factor ** (ages + 1))[:, None] * before
    left = matrix @ rows.view(count, size, -1)
    first = rows.new_zeros(1, rows.shape[1]) if before is None else before[None]
    ends = torch.cat([first, _blocks(left[:, -1], factor**size, before)[: count - 1]])
    return (left + (factor ** (ages + 1))[:, None] * ends[:, None]).view(count * size, -1)


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
