"""Leaky integrate-and-fire neurons under a constant current: firing rates with their exact surrogate gradient.

A static image drives each neuron with the same current at every step, so membrane potential and its derivative by
the current can be carried forward together. That is back-propagation through time without a stored sequence; the
reset is not differentiated. Same neuron as SpikingJelly's ``LIFNode(tau, decay_input=False, detach_reset=True)``
with a hard reset to 0 and an arctangent surrogate (Neftci et al. 2019, arXiv:1901.09948; Fang et al. 2021).
"""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
from torch import Tensor

THRESHOLD = 1.0


class _FiringRate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, steps: int, beta: float, alpha: float) -> Tensor:
        potential, spikes = torch.zeros_like(current), torch.zeros_like(current)
        differentiated = ctx.needs_input_grad[0]
        slope, gradient = torch.zeros_like(current), torch.zeros_like(current)  # d potential, d spikes by d current
        for _ in range(steps):
            potential.mul_(beta).add_(current)
            if differentiated:
                slope.mul_(beta).add_(1)
                surrogate = potential.sub(THRESHOLD).mul_(math.pi / 2 * alpha).square_().add_(1)
                gradient.addcdiv_(slope, surrogate, value=alpha / 2)
            fired = potential >= THRESHOLD
            spikes.add_(fired)
            potential.masked_fill_(fired, 0)
            if differentiated:
                slope.masked_fill_(fired, 0)
        ctx.save_for_backward(gradient.div_(steps))
        return spikes.div_(steps)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return outputs[0] * gradient, None, None, None


def firing_rate(current: Tensor, steps: int, beta: float, alpha: float) -> Tensor:
    """Spikes a step of LIF neurons that start at rest.

    Args:
        current: Input current, any shape, constant over the steps.
        steps: Time steps T.
        beta: Share of the membrane potential kept from step to step, 1 - 1/tau.
        alpha: Sharpness of the surrogate gradient alpha / 2 / (1 + (pi / 2 alpha (v - 1))^2).

    Returns:
        Rates in 0..1 of the current's shape, multiples of 1 / T.
    """
    rate: Tensor = _FiringRate.apply(current, steps, beta, alpha)  # type: ignore[no-untyped-call]
    return rate


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
