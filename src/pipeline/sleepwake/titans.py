"""Titans' associative memory: a matrix for each sequence that learns its keys' values while the sequence is read.

    ℓ_t = ‖M k_t − v_t‖²,   S_t = η_t S_{t−1} − θ_t ∇ℓ_t,   M_t = (1 − α_t) M_{t−1} + S_t,   y_t = M_t q_t

with k, v, q linear in the input, keys and queries of norm 1, and the gates η, θ, α linear in it behind a sigmoid.
Behrouz et al. 2025, arXiv:2501.00663, equations 8 to 15. Gradients inside a chunk are taken at the memory as it was at
the chunk's start (section 3.2), so that they are one product; a chunk of 1 is the recurrence above. Everything here is
part of the autograd graph: projections and gates learn by what reads bring.

The memory starts at zero for every sequence and is handed back, never kept: nothing goes from one sequence to another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pipeline.config.sleepwake import TitansConfig


@dataclass(frozen=True)
class MemoryState:
    """What a batch of sequences has learned so far.

    Attributes:
        weights: M, (B, D, D); rows are dimensions of values, columns of keys.
        momentum: S, (B, D, D).
    """

    weights: Tensor
    momentum: Tensor


@dataclass(frozen=True)
class Recalled:
    """What a memory gave while it read a batch.

    Attributes:
        reads: y_t, (B, L, D); that of t has seen x_0 … x_t.
        surprise: Norms of ∇ℓ_t, (B, L), without gradient.
        state: Behind the last position.
    """

    reads: Tensor
    surprise: Tensor
    state: MemoryState


@dataclass(frozen=True)
class Gates:
    """Of every position, each (B, L) and from 0 to 1.

    Attributes:
        momentum: η_t, how much of the last surprise goes on.
        step: θ_t, how much of this one is taken.
        forget: α_t, how much of the memory fades.
    """

    momentum: Tensor
    step: Tensor
    forget: Tensor


def associative_gradient(weights: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """∇ of ‖M k − v‖² in M, 2 (M k − v) kᵀ, for every position: (B, L, D, D).

    Args:
        weights: M, (B, D, D).
        keys: (B, L, D).
        values: (B, L, D).
    """
    errors = keys @ weights.transpose(1, 2) - values
    return 2 * errors[..., :, None] * keys[..., None, :]


def learn(
    keys: Tensor, values: Tensor, queries: Tensor, gates: Gates, chunk: int, state: MemoryState | None = None
) -> Recalled:
    """Read sequences into memories and ask them at every position.

    Args:
        keys: (B, L, D).
        values: (B, L, D).
        queries: (B, L, D).
        gates: Of every position.
        chunk: Positions whose gradients are taken at the same memory.
        state: Of earlier positions of the same sequences; None is zero.
    """
    batch, length, size = keys.shape
    if state is None:
        state = MemoryState(keys.new_zeros(batch, size, size), keys.new_zeros(batch, size, size))
    weights, momentum = state.weights, state.momentum
    reads, surprise = list[Tensor](), list[Tensor]()
    for start in range(0, length, chunk):
        part = slice(start, start + chunk)
        gradients = associative_gradient(weights, keys[:, part], values[:, part])  # (B, C, D, D)
        surprise.append(gradients.detach().flatten(2).norm(dim=-1))
        for offset in range(gradients.shape[1]):
            eta, theta, alpha = (
                gate[:, start + offset, None, None] for gate in (gates.momentum, gates.step, gates.forget)
            )
            momentum = eta * momentum - theta * gradients[:, offset]
            weights = (1 - alpha) * weights + momentum
            reads.append((weights @ queries[:, start + offset, :, None])[..., 0])
    return Recalled(torch.stack(reads, 1), torch.cat(surprise, 1), MemoryState(weights, momentum))


class TitansMemory(nn.Module):
    """Projections and gates of an associative memory; holds no memory itself.

    Args:
        width: W of the input.
        config: Size, chunk, and gates at the start.
        seed: Of the initial weights.
    """

    def __init__(self, width: int, config: TitansConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.projections = nn.Linear(width, 3 * config.dimension, bias=False)
            self.gates = nn.Linear(width, 3)
            self.out = nn.Linear(config.dimension, width, bias=False)
        nn.init.zeros_(self.gates.weight)
        shares = (config.momentum, config.step, config.forget)
        self.gates.bias.data.copy_(torch.tensor([_logit(share) for share in shares]))

    def forward(self, inputs: Tensor, state: MemoryState | None = None) -> tuple[Tensor, Recalled]:
        """What the memory adds to inputs (B, L, W), (B, L, W), and what it gave.

        Args:
            inputs: (B, L, W).
            state: Of the positions of the same sequences before; None begins afresh.
        """
        keys, values, queries = self.projections(inputs).chunk(3, -1)
        momentum, step, forget = self.gates(inputs).sigmoid().unbind(-1)
        recalled = learn(
            normalize(keys, dim=-1),
            values,
            normalize(queries, dim=-1),
            Gates(momentum, step, forget),
            self.config.chunk,
            state,
        )
        added: Tensor = self.out(recalled.reads)
        return added, recalled


def _logit(share: float) -> float:
    """The sigmoid's inverse; momentum may be 0, which stands for one in ten thousand."""
    share = max(share, 1e-4)
    return math.log(share / (1 - share))
