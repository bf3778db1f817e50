"""The associative memory by titans-pytorch: reference of `pipeline.sleepwake.titans`, peer of `engram bench titans`.

    recalled = learn_by_library(keys, values, queries, gates, chunk)          as titans.learn, the same figures

Its `NeuralMemory` with one matrix as the memory, losses summed and not averaged over dimensions, no norms and no
learned start is the recurrence of `pipeline.sleepwake.titans`. It keeps the memory behind every position, (B, L, D, D),
so that it is a choice for GPUs.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pipeline.sleepwake.titans import Gates, MemoryState, Recalled, learn

if TYPE_CHECKING:
    from collections.abc import Callable

_WEIGHT = "weights.0"  # of the library's memory model, (D, D), columns are dimensions of values
_LEAST = 1e-12  # share that stands for 0 before a logit


class _Columns(nn.Module):
    """Columns of what the library is given, in the place of a projection of its own."""

    def __init__(self, first: int, end: int, shaped: Callable[[Tensor], Tensor] = lambda part: part) -> None:
        super().__init__()
        self.first, self.end, self.shaped = first, end, shaped

    def forward(self, rows: Tensor) -> Tensor:
        """Of rows (B, L, W), the columns, in the library's shape."""
        return self.shaped(rows[..., self.first : self.end])


@lru_cache(maxsize=8)
def _memory(size: int, chunk: int) -> Any:
    """The library's memory without projections, norms and gates of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what it imports is compiled by torch.jit
        from titans_pytorch import MemoryMLP, NeuralMemory

    memory = NeuralMemory(
        dim=size,
        chunk_size=1,
        batch_size=chunk,  # gradients are taken at the memory as it was at the start of these
        model=MemoryMLP(size, depth=1),
        store_memory_loss_fn=lambda found, expected: (found - expected).square().sum(-1),
        adaptive_step_transform=lambda steps: steps,
        mem_model_norm_add_residual=False,
        pre_rmsnorm=False,
    )
    memory.to_keys, memory.to_values, memory.to_queries = (
        _Columns(number * size, (number + 1) * size) for number in range(3)
    )
    first = 3 * size
    memory.to_adaptive_step = _Columns(first, first + 1, lambda part: part[..., 0])
    memory.to_momentum = _Columns(first + 1, first + 2, lambda part: part.logit(_LEAST)[None])
    memory.to_decay_factor = _Columns(first + 2, first + 3, lambda part: part.logit(_LEAST))
    return memory.requires_grad_(False)


def learn_by_library(
    keys: Tensor,
    values: Tensor,
    queries: Tensor,
    gates: Gates,
    chunk: int,
    state: MemoryState | None = None,
    exact: bool = False,
) -> Recalled:
    """Read sequences into memories and ask them at every position; arguments and result as of `titans.learn`.

    Chunks are counted from the first position of a call, there as here. ``exact`` asks positions one after another.

    Raises:
        ImportError: titans-pytorch is missing: ``pip install 'engram[sleepwake]'``.
    """
    from tensordict import TensorDict

    state = state or MemoryState.empty(keys)
    weights, momentum = (
        TensorDict({_WEIGHT: part.transpose(1, 2)}, batch_size=[]) for part in (state.weights, state.momentum)
    )
    memory = _memory(keys.shape[-1], 1 if exact else chunk).to(keys.device)
    told = torch.stack([gates.step, gates.momentum, gates.forget], -1)
    begun = (0, weights, None, (weights, TensorDict({_WEIGHT: momentum[_WEIGHT][None]}, batch_size=[])), None)
    reads, behind, (losses, _) = memory(
        torch.cat([keys, values, queries, told], -1), state=begun, return_surprises=True
    )
    last, coasting = (part[_WEIGHT] for part in behind.states)
    surprise = 2 * losses[:, 0].detach().sqrt() * keys.detach().norm(dim=-1)
    return Recalled(reads, surprise, MemoryState(last.transpose(1, 2), coasting[0].transpose(1, 2)))


LEARNERS: dict[str, Callable[..., Recalled]] = {"engram": learn, "titans-pytorch": learn_by_library}
"""Ways to compute the memory, by `TitansConfig.library`."""
