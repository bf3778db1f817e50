"""Leaky integrate-and-fire neurons under a constant current: firing rates with their exact surrogate gradient.

A static image drives a neuron with the same current I at every step. So the potential j steps after rest or a spike is
s_j I, s_j = 1 + beta + ... + beta^(j - 1), and the neuron fires every k steps, k the first j at which that reaches the
threshold: rate and derivative follow from k and I without a loop over the steps. The derivative is that of
back-propagation through time with an arctangent for a spike and a reset that is not differentiated: over all steps, the
sum of s_j times the surrogate at s_j I, which as a function of I is a bell around the current that fires every j steps.

Same neuron as SpikingJelly's ``LIFNode(tau, decay_input=False, detach_reset=True)`` with a hard reset to 0 (Neftci et
al. 2019, arXiv:1901.09948; Fang et al. 2021). Spikes are the same to the bit as those of the loop ``v = beta v + I``.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

THRESHOLD = 1.0


@dataclass(frozen=True)
class _Neuron:
    """What does not depend on the current.

    Attributes:
        lowest: Currents from which on a neuron never fires, then fires every T, ..., 2, 1 steps, shape (T + 1, 1).
        more: How much more there is from each of these on: in row 0 of spikes, in row j of steps that are j steps
            after rest or a spike, shape (T + 1, T + 1).
        centres: Currents at which the bells of j = 1, ..., T stand, shape (T, 1).
        widths: Their squared half widths, shape (T, 1).
        heights: Their heights times squared half widths, over T, shape (T,).
    """

    lowest: Tensor
    more: Tensor
    centres: Tensor
    widths: Tensor
    heights: Tensor


@lru_cache(maxsize=64)
def _neuron(steps: int, beta: float, alpha: float) -> _Neuron:
    after = torch.arange(1, steps + 1).view(-1, 1)  # j
    slopes = (beta ** (after - 1).double()).cumsum(0)  # s_j
    period = steps + 1 - torch.arange(steps + 1)  # k, falling from T + 1, which is silence
    visits = ((steps - after).div(period, rounding_mode="floor") + 1) * (after <= period)
    counts = torch.cat([(steps // period).view(1, -1), visits]).float()
    widths = (math.pi / 2 * alpha * slopes) ** -2
    return _Neuron(
        lowest=_lowest(slopes, beta),
        more=counts.diff(prepend=torch.zeros(steps + 1, 1)),
        centres=(THRESHOLD / slopes).float(),
        widths=widths.float(),
        heights=(alpha / 2 * slopes * widths / steps)[:, 0].float(),
    )


def _lowest(slopes: Tensor, beta: float) -> Tensor:
    """See `_Neuron`; slopes (T, 1). Exact as float32: the potential is added up step by step, with its rounding."""
    steps = len(slopes)
    offsets = torch.arange(-4 * steps - 16, 4 * steps + 17).double() * 2**-24
    currents = (THRESHOLD / slopes * (1 + offsets)).float()  # every float32 near the threshold, ascending
    potential, reached = torch.zeros_like(currents), torch.zeros_like(currents, dtype=torch.bool)
    for step in range(steps):
        potential.mul_(beta).add_(currents)
        reached[step] = potential[step] >= THRESHOLD
    lowest = currents.masked_fill(~reached, math.inf).amin(1, keepdim=True)
    return torch.cat([lowest.cummin(0).values, torch.tensor([[-math.inf]])]).flip(0)


class _FiringRate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, steps: int, beta: float, alpha: float) -> Tensor:
        rate, slope = rate_and_slope(current, steps, beta, alpha, differentiated=ctx.needs_input_grad[0])
        ctx.save_for_backward(slope)
        return rate

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return outputs[0] * slope, None, None, None


def firing_rate(current: Tensor, steps: int, beta: float, alpha: float) -> Tensor:
    """Spikes a step of LIF neurons that start at rest.

    Args:
        current: Input current, constant over the steps, float32 of any shape.
        steps: Time steps T.
        beta: Share of the membrane potential kept from step to step, 1 - 1/tau.
        alpha: Sharpness of the surrogate gradient alpha / 2 / (1 + (pi / 2 alpha (v - 1))^2).

    Returns:
        Rates in 0..1 of the current's shape, multiples of 1 / T.
    """
    rate: Tensor = _FiringRate.apply(current, steps, beta, alpha)  # type: ignore[no-untyped-call]
    return rate


def rate_and_slope(
    current: Tensor, steps: int, beta: float, alpha: float, differentiated: bool = True
) -> tuple[Tensor, Tensor]:
    """The rates of `firing_rate`, and their derivatives by the current, which are empty unless ``differentiated``."""
    neuron, currents = _neuron(steps, beta, alpha), current.flatten()
    reached = torch.ge(currents, neuron.lowest, out=current.new_empty(steps + 1, len(currents)))  # 0 or 1
    if not differentiated:
        return (neuron.more[0] @ reached).div_(steps).view_as(current), current.new_empty(0)
    counts = neuron.more @ reached  # (T + 1, N)
    del reached  # whose memory serves the bells
    bells = currents.sub(neuron.centres).square_().add_(neuron.widths)  # (T, N), upside down
    slope = neuron.heights @ counts[1:].div_(bells)
    return (counts[0] / steps).view_as(current), slope.view_as(current)


def spike_trains(current: Tensor, steps: int, beta: float) -> Tensor:
    """The spikes behind `firing_rate`, by SpikingJelly: shape (T, *current.shape), zeros and ones."""
    logging.getLogger("torch._library.triton").setLevel(logging.ERROR)  # it complains that there is no GPU compiler
    from spikingjelly.activation_based import functional

    repeated = current.detach().expand(steps, *current.shape)
    rest = torch.zeros_like(current)
    spikes: Tensor = functional.lif_multi_step(
        repeated, rest, tau=1 / (1 - beta), decay_input=False, v_threshold=THRESHOLD, v_reset=0.0
    )[0]
    return spikes
