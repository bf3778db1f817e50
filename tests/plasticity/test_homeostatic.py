"""Synaptic scaling: neurons reach their target rate from above and from below, with weights of both signs."""

from __future__ import annotations

import pytest
import torch
from spikingjelly.activation_based import functional
from torch import Tensor

from pipeline.plasticity.rule import Rule
from tests.plasticity.spikes import spikes, summing, weights

CALLS, STEPS, SAMPLES = 2000, 8, 16


def fired(pre: Tensor, weight: Tensor) -> Tensor:
    """Spikes of LIF neurons, tau 10 steps, threshold 1, shape (T, B, N_out)."""
    current = pre @ weight.T
    rest = torch.zeros_like(current[0])
    spikes: Tensor = functional.lif_multi_step(
        current, rest, tau=10.0, decay_input=False, v_threshold=1.0, v_reset=0.0
    )[0]
    return spikes


def settle(rule: Rule, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Live in closed loop; weights and rates over the last two fifths, shape (N_out,)."""
    state: dict[str, Tensor] = {}
    rates = []
    for call in range(CALLS):
        pre = spikes(STEPS, SAMPLES, weight.shape[1], seed=call, rate=0.1)
        post = fired(pre, weight)
        change, state = rule.change(weight, pre, post, state)
        weight = weight + change
        if call >= CALLS * 0.6:
            rates.append(post.mean((0, 1)))
    return weight, torch.stack(rates).mean(0)


@pytest.mark.parametrize("learning_rate", [0.0, 0.01])
@pytest.mark.parametrize(("size", "sign"), [(0.02, "below"), (1.0, "above")])
def test_the_target_rate_is_reached_from_both_sides(size: float, sign: str, learning_rate: float) -> None:
    rule = summing("homeostatic", reduction="mean", learning_rate=learning_rate)
    start = (weights(6, 40, 3) + 0.1) * size * 2
    pre = spikes(STEPS, 400, 40, seed=99, rate=0.1)
    before = fired(pre, start).mean((0, 1))
    assert bool((before < 0.05).all() if sign == "below" else (before > 0.2).all())
    weight, rates = settle(rule, start)
    assert float((rates / 0.1 - 1).abs().max()) < 0.05
    assert torch.equal(weight.sign(), start.sign()) or learning_rate > 0


def test_without_it_the_rate_stays_away() -> None:
    off = summing("homeostatic", reduction="mean", homeostatic={"homeostatic_rate": 0.0})
    _, rates = settle(off, weights(6, 40, 3) * 0.04)
    assert float(rates.max()) < 0.05


def test_all_synapses_of_a_sign_change_by_one_factor_and_inhibition_by_its_inverse() -> None:
    rule = summing("homeostatic", learning_rate=0.0)
    weight, silence = weights(5, 40, 1), torch.zeros(8, 2, 40)
    change, state = rule.change(weight, silence, silence[..., :5])
    factor = (weight + change) / weight
    assert float(state["rate"][0]) == pytest.approx(0.1 * torch.exp(torch.tensor(-8 / 1000)).item())
    grown = torch.exp(torch.tensor(0.0005 * 8) * (1 - state["rate"][0] / 0.1))
    assert float(grown) > 1
    torch.testing.assert_close(factor, torch.where(weight > 0, grown, 1 / grown), atol=1e-5, rtol=0)


def test_time_and_not_the_number_of_calls_moves_the_average() -> None:
    rule, post = summing("homeostatic"), torch.ones(8, 2, 5)
    weight, pre = weights(5, 4, 1), spikes(8, 2, 4, 1)
    _, whole = rule.change(weight, pre, post)
    _, half = rule.change(weight, pre[:4], post[:4])
    _, halves = rule.change(weight, pre[4:], post[4:], half)
    torch.testing.assert_close(whole["rate"], halves["rate"])
