"""Titans' associative memory: a matrix for each sequence that learns its keys' values while the sequence is read.

    ℓ_t = ‖M k_t − v_t‖²,   S_t = η_t S_{t−1} − θ_t ∇ℓ_t,   M_t = (1 − α_t) M_{t−1} + S_t,   y_t = M_t q_t

with k, v, q linear in the input, keys and queries of norm 1, and the gates η, θ, α linear in it behind a sigmoid.
Behrouz et al. 2025, arXiv:2501.00663, equations 8 to 15. Gradients inside a chunk are taken at the memory as it was at
the chunk's start (section 3.2), or at the memory just before each position, which a triangular system gives for a whole
chunk (Yang et al. 2024, arXiv:2406.06484); a chunk of 1 is the recurrence above either way. Everything here is part of
the autograd graph: projections and gates learn by what reads bring.

The memory starts at zero for every sequence and is handed back, never kept: nothing goes from one sequence to another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pipeline.config.sleepwake import TitansConfig

_LEAST_SHARE = 1e-12  # stands for 0 where a logarithm is taken


@dataclass(frozen=True)
class MemoryState:
    """What a batch of sequences has learned so far.

    Attributes:
        weights: M, (B, D, D); rows are dimensions of values, columns of keys.
        momentum: S, (B, D, D).
    """

    weights: Tensor
    momentum: Tensor

    @classmethod
    def empty(cls, keys: Tensor) -> MemoryState:
        """Of sequences with keys (B, L, D) that have told nothing yet."""
        batch, _, size = keys.shape
        return cls(keys.new_zeros(batch, size, size), keys.new_zeros(batch, size, size))


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
    keys: Tensor,
    values: Tensor,
    queries: Tensor,
    gates: Gates,
    chunk: int,
    state: MemoryState | None = None,
    exact: bool = False,
) -> Recalled:
    """Read sequences into memories and ask them at every position.

    Args:
        keys: (B, L, D).
        values: (B, L, D).
        queries: (B, L, D).
        gates: Of every position.
        chunk: Positions that are computed together.
        state: Of earlier positions of the same sequences; None is zero.
        exact: Every gradient is taken at the memory just before it, as in the recurrence above; else at the memory as
            it was at the start of its chunk.
    """
    length = keys.shape[1]
    state = state or MemoryState.empty(keys)
    reads, surprise, whole = list[Tensor](), list[Tensor](), length // chunk * chunk
    for part, each in ((slice(0, whole), chunk), (slice(whole, length), length - whole)):
        if part.start == part.stop:
            continue
        told = Gates(*(_cut(gate, part, each) for gate in (gates.momentum, gates.step, gates.forget)))
        key, value, query = (_cut(rows, part, each) for rows in (keys, values, queries))
        read, norms, state = _chunks(key, value, query, told, state, exact)
        reads.append(read.flatten(1, 2))
        surprise.append(norms.flatten(1, 2))
    return Recalled(torch.cat(reads, 1), torch.cat(surprise, 1), state)


def _cut(rows: Tensor, part: slice, size: int) -> Tensor:
    """Positions of (B, L, …) in chunks of a size, (B, N, C, …)."""
    return rows[:, part].reshape(len(rows), -1, size, *rows.shape[2:])


def _chunks(
    keys: Tensor, values: Tensor, queries: Tensor, gates: Gates, state: MemoryState, exact: bool
) -> tuple[Tensor, Tensor, MemoryState]:
    """Reads (B, N, C, D), norms of gradients (B, N, C) and the state behind N chunks of C positions.

    The recurrences are linear in what was there and in the gradients, so that with a_t = Π(1 − α), n_t = Π η
    M_t = a_t M_0 + b_t S_0 − Σ_s c_ts θ_s ∇ℓ_s. Gradients have rank one, 2 (M k − v) kᵀ, and are kept as their errors.
    Only a chunk's errors depend on the chunks before: they are found one chunk after another, all else at once.
    """
    size = keys.shape[-1]
    coasts, kept = _products(gates.momentum), _products(1 - gates.forget)  # (B, N, C, C), rows are later positions
    weight = kept @ coasts  # c
    fade = kept[..., 0] * (1 - gates.forget[..., :1])  # a
    first = coasts[..., 0] * gates.momentum[..., :1]  # n
    drift = (kept @ first[..., None])[..., 0]  # b
    if exact:
        before = pad(weight[..., :-1, :], (0, 0, 1, 0))  # c of the position before
        fade_before = pad(fade[..., :-1], (1, 0), value=1.0)[..., None]
        drift_before = pad(drift[..., :-1], (1, 0))[..., None]
        among = before * (keys @ keys.transpose(-1, -2)) * (2 * gates.step)[..., None, :]
        system = torch.eye(keys.shape[2], dtype=keys.dtype, device=keys.device) + among
        terms = torch.cat([fade_before * keys, drift_before * keys, values], -1)
        terms = torch.linalg.solve_triangular(system, terms, upper=False, unitriangular=True)
    else:
        terms = torch.cat([keys, torch.zeros_like(keys), values], -1)
    asking, expected = terms[..., : 2 * size], terms[..., 2 * size :]  # errors are asking (Mᵀ over Sᵀ) − expected
    ends = torch.cat([weight[..., -1, :, None] * keys, coasts[..., -1, :, None] * keys], -1).transpose(-1, -2)
    last = [part[:, :, -1, None, None] for part in (fade, drift, first)]
    held, errors = torch.cat([state.weights, state.momentum], 2).transpose(1, 2), list[Tensor]()  # Mᵀ over Sᵀ
    states = list[Tensor]()
    for number in range(keys.shape[1]):
        states.append(held)
        errors.append(torch.baddbmm(expected[:, number], asking[:, number], held, beta=-1))
        weights, momentum = held[:, :size], held[:, size:]
        fading, drifting, coasting = (part[:, number] for part in last)
        held = torch.cat([fading * weights + drifting * momentum, coasting * momentum], 1)
        steps = 2 * gates.step[:, number, :, None] * errors[-1]  # θ ∇ℓ without its key
        held = torch.baddbmm(held, ends[:, number], steps, alpha=-1)
    found = torch.stack(errors, 1)
    asked = torch.cat([fade[..., None] * queries, drift[..., None] * queries], -1)
    reads = asked @ torch.stack(states, 1)
    reads = reads - (weight * (queries @ keys.transpose(-1, -2))) @ (2 * gates.step[..., None] * found)
    norms = 2 * found.detach().norm(dim=-1) * keys.detach().norm(dim=-1)
    return reads, norms, MemoryState(held[:, :size].transpose(1, 2), held[:, size:].transpose(1, 2))


def _products(shares: Tensor) -> Tensor:
    """(…, C, C): at row t and column s the product of shares (…, C) of the positions after s up to t; 0 above."""
    summed = shares.clamp_min(_LEAST_SHARE).log().cumsum(-1)
    between = summed[..., :, None] - summed[..., None, :]
    later = torch.ones(between.shape[-2:], dtype=torch.bool, device=shares.device).tril()
    return between.masked_fill(~later, -torch.inf).exp()


def initial_gates(gates: nn.Linear, config: TitansConfig) -> None:
    """Let a layer with three outputs, behind a sigmoid, give the configured momentum, step and forgetting."""
    nn.init.zeros_(gates.weight)
    gates.bias.data.copy_(torch.tensor([_logit(share) for share in (config.momentum, config.step, config.forget)]))


def _logit(share: float) -> float:
    """The sigmoid's inverse; momentum may be 0, which stands for one in ten thousand."""
    share = max(share, 1e-4)
    return math.log(share / (1 - share))
