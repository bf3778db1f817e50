"""The core: every position's state is the fixed point of a contraction, solved for all positions at once.

u = causal convolution of embeddings (+ what was read);  z* = tanh(W z* + u)  with  ‖W‖₂ ≤ ρ < 1.

tanh has slope 1 at most, so that the map contracts by ρ: there is one fixed point, and repeated application finds it
from anywhere (Bai et al. 2019, arXiv 1909.01377; gradients by torchdeq, Geng and Kolter 2023, arXiv 2310.18605).
Only positions whose state somebody reads are solved, which changes no state: positions share no state but the
``LiquidLane``'s, which needs all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchdeq import get_deq
from torchdeq.solver import register_solver

from pipeline.config.emma import EmmaConfig, NeedleModelConfig
from pipeline.needle.recurrence import recurrence

SQUARINGS = 5
CACHED_ROWS = 2048
"""Positions that a CPU solves at once: their states stay in its cache, which makes solving about twice as fast."""


STEPS_A_LOOK = 2
"""Steps between looks at the residual: looking takes a third of a step on a CPU, and a GPU waits for it."""


@dataclass(frozen=True)
class Solved:
    """How a fixed point was found, one entry a position.

    Attributes:
        steps: Steps to the state that is used, (N,).
        residual: Its relative residual ‖f(z) − z‖ / ‖f(z)‖, (N,).
        tolerance: What counts as converged.
    """

    steps: Tensor
    residual: Tensor
    tolerance: float

    @property
    def converged(self) -> Tensor:
        """Whether the tolerance was met, (N,)."""
        return self.residual <= self.tolerance


def norm_bound(weight: Tensor) -> Tensor:
    """An upper bound of a matrix's largest singular value, at most n^(1/64) times too large, differentiable.

    It is the Schatten norm of order 64: the 64th root of the trace of (WᵀW)^32. Power iteration, the usual
    estimate, is a lower bound and guarantees nothing.
    """
    gram = weight @ weight.T if weight.shape[0] < weight.shape[1] else weight.T @ weight
    log_norm = torch.zeros((), device=weight.device)
    for step in range(SQUARINGS):
        scale = gram.diagonal().sum().clamp_min(1e-30)
        gram = gram / scale
        log_norm = log_norm + scale.log() / 2**step
        gram = gram @ gram
    log_norm = log_norm + gram.diagonal().sum().clamp_min(1e-30).log() / 2**SQUARINGS
    bound: Tensor = (log_norm / 2).exp()
    return bound


def bounded(weight: Tensor, limit: float) -> Tensor:
    """The matrix, scaled down if need be so that its spectral norm is at most the limit."""
    scaled: Tensor = weight * (limit / norm_bound(weight).clamp_min(limit))
    return scaled


def iterate(
    function: Callable[[Tensor], Tensor], x0: Tensor, max_iter: int, tol: float, **unused: Any
) -> tuple[Tensor, list[Tensor], dict[str, Tensor]]:
    """Apply a contraction until every row's relative residual is below the tolerance.

    torchdeq's own iteration keeps the best of all states of every row, which takes about as long as the steps. A
    contraction's residual falls with every step: its last state is the best.

    Args:
        function: The contraction, rows (N, hidden) to rows.
        x0: The first rows.
        max_iter: Steps at most.
        tol: Relative residual at which to stop.
        unused: Other settings of torchdeq's solvers.

    Returns:
        What torchdeq expects: the state, the states that gradients start from, and of each row ``nstep`` and
        ``rel_lowest``, (N,).
    """
    state, residual, step = x0, torch.full(x0.shape[:1], torch.inf, device=x0.device), 0
    while step < max_iter:
        before, state, step = state, function(state), step + 1
        if step % STEPS_A_LOOK == 0 or step == max_iter:
            residual = (state - before).norm(dim=1) / (state.norm(dim=1) + 1e-9)
            if residual.max() < tol:
                break
    return state, [state], {"nstep": torch.full_like(residual, step), "rel_lowest": residual}


register_solver("contraction", iterate)


class FixedPointCore(nn.Module):
    """States of positions; see the module.

    Args:
        model: Sizes.
        emma: Solver.
        vocabulary: Number of token ids.
    """

    def __init__(self, model: NeedleModelConfig, emma: EmmaConfig, vocabulary: int) -> None:
        super().__init__()
        self.config, self.kernel, self.padding = emma, model.kernel, vocabulary
        self.embedding = nn.Embedding(vocabulary + 1, model.emb_dim, padding_idx=vocabulary)
        self.convolution = nn.Linear(model.kernel * model.emb_dim, model.hid_dim)
        self.inject = nn.Linear(model.mem_dim, model.hid_dim, bias=False)
        self.recurrent = nn.Parameter(torch.randn(model.hid_dim, model.hid_dim) / model.hid_dim**0.5)
        self.deq = get_deq(
            f_solver="contraction",
            f_max_iter=emma.deq_max_iter,
            eval_f_max_iter=emma.deq_eval_max_iter,
            f_stop_mode="rel",
            b_max_iter=emma.deq_eval_max_iter,
            b_tol=1e-6,
            ift=emma.gradient == "implicit",
            grad=emma.phantom_steps,
        )

    def drive(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """What drives positions (B, N) of tokens (B, L): a causal convolution of embeddings, (B, N, hidden)."""
        lags = torch.arange(self.kernel - 1, -1, -1, device=tokens.device)
        seen = positions.clamp_max(tokens.shape[1] - 1)[..., None] - lags  # (B, N, kernel)
        ids = tokens.gather(1, seen.clamp_min(0).flatten(1)).view_as(seen).masked_fill(seen < 0, self.padding)
        driven: Tensor = self.convolution(self.embedding(ids).flatten(2))
        return driven

    def contraction(self) -> Tensor:
        """The recurrent matrix, its spectral norm at most ρ, (hidden, hidden)."""
        return bounded(self.recurrent, self.config.contraction)

    def solve(self, drive: Tensor, start: Tensor | None = None) -> tuple[Tensor, Solved]:
        """Fixed points (B, N, hidden) of positions driven by (B, N, hidden), from zero or another start."""
        weight = self.contraction()
        rows = drive.flatten(0, 1)
        starts = torch.zeros_like(rows) if start is None else start.flatten(0, 1)
        self.deq.train(self.training)
        tolerance = self.config.deq_tol if self.training else self.config.deq_eval_tol
        self.deq.f_tol = tolerance
        size = CACHED_ROWS if rows.device.type == "cpu" else len(rows)
        parts = [
            self._solve(*part, weight) for part in zip(torch.split(rows, size), torch.split(starts, size), strict=True)
        ]
        states, steps, residuals = (torch.cat(found) for found in zip(*parts, strict=True))
        return states.view_as(drive), Solved(steps, residuals, tolerance)

    def _solve(self, rows: Tensor, start: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """States, steps and relative residuals of rows (N, hidden)."""

        def step(state: Tensor) -> Tensor:
            return torch.tanh(torch.addmm(rows, state, weight.T))

        found, info = self.deq(step, start)
        return found[-1], info["nstep"].detach(), info["rel_lowest"].detach()

    @torch.no_grad()
    def spectral_norm(self) -> float:
        """The largest singular value of the recurrent matrix in use, exactly."""
        return float(torch.linalg.matrix_norm(self.contraction(), 2))


class LiquidLane(nn.Module):
    """A leaky state over time whose rate its input decides: h_t = a_t h_{t−1} + (1 − a_t) φ(z_t), a = exp(−1/τ(z)).

    Args:
        hidden: Numbers of a state.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.candidate = nn.Linear(hidden, hidden)
        self.time_constant = nn.Linear(hidden, hidden)
        with torch.no_grad():
            self.time_constant.bias.copy_(torch.linspace(0, 5, hidden))  # from one position to about 150

    def forward(self, states: Tensor) -> Tensor:
        """States (B, L, hidden) of the core to those of the lane (B, L, hidden); h_0 starts from zero."""
        tau = 1 + self.time_constant(states).clamp_max(8).exp()
        keep = torch.exp(-1 / tau)
        return recurrence(keep, (1 - keep) * torch.tanh(self.candidate(states)))
