"""LIF neurons: the same spikes and the same gradient as SpikingJelly's, computed without a loop over the steps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor

from pipeline.columns.lif import firing_rate, spike_trains

STEPS = 8


def by_spikingjelly(current: Tensor, steps: int, beta: float, alpha: float) -> Tensor:
    """Firing rates of ``LIFNode`` with back-propagation through time."""
    node = neuron.LIFNode(
        tau=1 / (1 - beta),
        decay_input=False,
        v_threshold=1.0,
        v_reset=0.0,
        surrogate_function=surrogate.ATan(alpha=alpha),
        detach_reset=True,
        step_mode="m",
    )
    rates: Tensor = node(current.expand(steps, *current.shape)).mean(0)
    return rates


@pytest.mark.parametrize("beta", [0.5, 0.9])
@pytest.mark.parametrize("alpha", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("steps", [1, 5, 16])
def test_rates_and_gradients_are_those_of_spikingjelly(beta: float, alpha: float, steps: int) -> None:
    generator = torch.Generator().manual_seed(steps)
    ours = (torch.randn(40, 12, generator=generator) * 0.8).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    weights = torch.randn(40, 12, generator=generator)
    rate, expected = firing_rate(ours, steps, beta, alpha), by_spikingjelly(theirs, steps, beta, alpha)
    torch.testing.assert_close(rate, expected, atol=0, rtol=0)
    assert 0 < float(rate.detach().mean()) < 1
    (rate * weights).sum().backward()
    (expected * weights).sum().backward()
    assert ours.grad is not None and theirs.grad is not None and float(ours.grad.abs().sum()) > 0
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-4)


def by_steps(current: Tensor, steps: int, beta: float) -> Tensor:
    """Firing rates by adding up the potential."""
    potential, spikes = torch.zeros_like(current), torch.zeros_like(current)
    for _ in range(steps):
        potential = potential * beta + current
        spikes += potential >= 1
        potential = potential.masked_fill(potential >= 1, 0)
    return spikes / steps


@pytest.mark.parametrize("beta", [0.05, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("steps", [1, 5, 8, 32])
def test_currents_at_a_threshold_fire_to_the_bit_as_step_by_step(beta: float, steps: int) -> None:
    sums = torch.tensor([sum(beta**power for power in range(after)) for after in range(1, steps + 1)])
    bits = (1 / sums).view(torch.int32).view(-1, 1) + torch.arange(-100, 101, dtype=torch.int32)
    current = bits.view(torch.float32)  # the 100 next numbers below and above
    expected = by_steps(current, steps, beta)
    assert len(expected.unique()) > 1 and torch.equal(firing_rate(current, steps, beta, 2.0), expected)


def test_gradients_hold_far_from_any_threshold() -> None:
    ours = torch.tensor([-1e4, -30.0, 30.0, 1e4], requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    firing_rate(ours, STEPS, 0.9, 2.0).sum().backward()
    by_spikingjelly(theirs, STEPS, 0.9, 2.0).sum().backward()
    assert ours.grad is not None and theirs.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad, atol=0, rtol=1e-5)


def test_rates_are_those_of_the_spike_trains() -> None:
    current = torch.linspace(-1, 2, 50)
    trains = spike_trains(current, STEPS, 0.9)
    assert trains.shape == (STEPS, 50) and set(trains.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(trains.mean(0), firing_rate(current, STEPS, 0.9, 2.0))


@given(current=st.floats(-3, 3), beta=st.floats(0.05, 0.95))
def test_rates_are_multiples_of_a_step_and_rise_with_the_current(current: float, beta: float) -> None:
    lower, higher = firing_rate(torch.tensor([current, current + 0.5]), STEPS, beta, 2.0).tolist()
    assert 0 <= lower <= higher <= 1 and (lower * STEPS).is_integer()


def test_a_current_above_threshold_fires_always_and_a_negative_one_never() -> None:
    assert firing_rate(torch.tensor([1.0, -1.0, 0.0]), STEPS, 0.9, 2.0).tolist() == [1.0, 0.0, 0.0]
