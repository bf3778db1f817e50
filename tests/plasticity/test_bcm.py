"""BCM: the threshold slides with activity, and of two patterns a neuron chooses one."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from pipeline.plasticity.rule import Rule
from tests.plasticity.spikes import spikes, summing

PATTERNS = torch.tensor([[0.5, 0.5, 0.1, 0.1], [0.1, 0.1, 0.5, 0.5]])  # spikes a step of four neurons
STEPS, NEURONS = 50, 12


def answers(pre: Tensor, weight: Tensor, generator: torch.Generator) -> Tensor:
    """Spikes whose probability is the weighted sum of the sample's rates, shape (T, B, N_out)."""
    rate = (pre.mean(0) @ weight.T).clamp(0, 1)
    return (torch.rand(len(pre), *rate.shape, generator=generator) < rate).float()


def live(rule: Rule, calls: int) -> tuple[Tensor, Tensor]:
    """Both patterns in turn; answers to each, shape (2, N_out), and the weights before."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.rand(NEURONS, 4, generator=generator) * 0.1 + 0.1
    start, state = weight, {}
    for call in range(calls):
        rates = PATTERNS[call % 2].expand(STEPS, 1, 4)
        pre = (torch.rand(rates.shape, generator=generator) < rates).float()
        change, state = rule.change(weight, pre, answers(pre, weight, generator), state)
        weight = weight + change
    return (PATTERNS @ weight.T).clamp(0, 1), start


def test_a_neuron_becomes_selective_for_one_of_two_patterns() -> None:
    rule = summing("bcm", reduction="mean", learning_rate=0.1, bcm={"tau_threshold": 1000.0})
    responses, start = live(rule, 4000)
    before = PATTERNS @ start.T
    assert float((before.amax(0) / before.amin(0)).max()) < 2
    best, other = responses.amax(0), responses.amin(0)
    assert bool((best > 4 * other).all())
    assert float((best - 0.2).abs().max()) < 0.05  # where y equals y^2 / 2 / reference_rate
    assert len(set(responses.argmax(0).tolist())) == 2


def test_a_threshold_that_stays_does_not_make_it_selective() -> None:
    rule = summing("bcm", reduction="mean", learning_rate=0.1, bcm={"tau_threshold": 1e12, "initial_threshold": 0.01})
    responses, _ = live(rule, 4000)
    assert bool((responses.amin(0) > 0.5 * responses.amax(0)).all())


@pytest.mark.parametrize(("rate", "direction"), [(0.8, 1), (0.02, -1)])
def test_the_threshold_slides_with_activity_to_the_mean_square(rate: float, direction: int) -> None:
    rule, state, thresholds = summing("bcm"), {}, [0.1]
    for call in range(60):
        post = spikes(200, 400, 1, seed=call, rate=rate)
        _, state = rule.change(torch.zeros(1, 2), torch.zeros(200, 400, 2), post, state)
        thresholds.append(float(state["threshold"]))
    assert all((after - before) * direction > 0 for before, after in pairwise(thresholds[:6]))
    square = rate**2 + rate * (1 - rate) / 200  # of the mean of 200 draws
    assert thresholds[-1] == pytest.approx(square / 0.1, rel=0.05)


def test_rates_above_the_threshold_potentiate_and_rates_below_depress() -> None:
    rule, pre = summing("bcm", bcm={"initial_threshold": 0.5}), torch.ones(10, 1, 1)
    for fired, expected in ((9, 0.9 * 0.4), (5, 0.0), (2, -0.2 * 0.3), (0, 0.0)):
        post = torch.zeros(10, 1, 1)
        post[:fired] = 1
        change, _ = rule.change(torch.zeros(1, 1), pre, post)
        assert float(change) == pytest.approx(expected, abs=1e-6)
