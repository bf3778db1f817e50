"""Which tokens a task is made of, and where in a sequence keys stand: all that the model knows of a task."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Tokens of a task.

    Attributes:
        vocabulary: Number of token ids.
        values: Number of answers.
        write_token: Id whose positions are the marked writes; None if the task has no marks.
        query_token: Id whose positions ask; None asks at every position.
        key_lag_write: Tokens from a pair's key to the position that writes it.
        key_lag_query: Tokens from a question's key to the position that asks.
        write_offset: Tokens from a batch's ``pair_pos`` to the position that writes the pair.
    """

    vocabulary: int
    values: int
    write_token: int | None
    query_token: int | None
    key_lag_write: int = 2
    key_lag_query: int = 1
    write_offset: int = 0


def positions_of(found: Tensor) -> Tensor:
    """Positions (B, N) of true entries of (B, L), ascending; N is the largest count, at least 1; the rest is L."""
    length = found.shape[1]
    most = max(int(found.sum(1).max()), 1)
    steps = torch.arange(length, device=found.device).expand_as(found)
    return torch.where(found, steps, length).sort(dim=1).values[:, :most]


def gather(states: Tensor, index: Tensor) -> Tensor:
    """Rows (B, N, ...) of states (B, L, ...) at positions (B, N); positions outside give the nearest row."""
    index = index.clamp(0, states.shape[1] - 1)
    shape = (*index.shape, *states.shape[2:])
    return states.gather(1, index.view(*index.shape, *[1] * (states.dim() - 2)).expand(shape))


def index_of(positions: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Where ascending positions (B, N) hold the wanted ones (B, M): indices and whether they are there, both (B, M)."""
    index = torch.searchsorted(positions.contiguous(), wanted.contiguous()).clamp_max(positions.shape[1] - 1)
    return index, positions.gather(1, index) == wanted
