"""h_t = a_t h_{t−1} + b_t with h_0 = 0, elementwise, over all positions of a batch.

A GPU takes log₂ L parallel steps over everything (Hillis and Steele 1986, doi:10.1145/7902.7903), since launches are
what costs there. A CPU goes from position to position, which touches every number once and is eight times as fast at
L = 128.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad


def recurrence(keep: Tensor, added: Tensor) -> Tensor:
    """States h (B, L, H) of a = ``keep`` and b = ``added``, both (B, L, H)."""
    if keep.device.type != "cpu":
        return _doubling(keep, added)
    in_time = (part.transpose(0, 1).contiguous() for part in (keep, added))
    states: Tensor = _InTime.apply(*in_time)  # type: ignore[no-untyped-call]
    return states.transpose(0, 1)


def _doubling(keep: Tensor, states: Tensor) -> Tensor:
    """All positions at once; after each step every state holds twice as many terms."""
    shift = 1
    while shift < keep.shape[1]:
        states = states + keep * pad(states, (0, 0, shift, 0))[:, :-shift]
        keep = keep * pad(keep, (0, 0, shift, 0))[:, :-shift]
        shift *= 2
    return states


class _InTime(torch.autograd.Function):
    """One position after another; keep and added are (L, B, H)."""

    @staticmethod
    def forward(context: Any, keep: Tensor, added: Tensor) -> Tensor:
        states = torch.empty_like(added)
        states[0] = added[0]
        for time in range(1, len(added)):
            torch.addcmul(added[time], keep[time], states[time - 1], out=states[time])
        context.save_for_backward(keep, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        keep, states = context.saved_tensors
        by_added = torch.empty_like(states)
        by_added[-1] = gradient[-1]
        for time in range(len(states) - 2, -1, -1):
            torch.addcmul(gradient[time], keep[time + 1], by_added[time + 1], out=by_added[time])
        by_keep = torch.zeros_like(keep)
        by_keep[1:] = by_added[1:] * states[:-1]
        return by_keep, by_added
