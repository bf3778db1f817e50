"""Reward: its sign decides the sign of the change, none changes nothing, and pairs are remembered until it comes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional
from torch import Tensor

from tests.plasticity.spikes import spikes, summing, train, weights

ONE = torch.ones_like


def test_the_sign_of_the_reward_decides_the_sign_of_the_change() -> None:
    rule, weight = summing("reward"), weights(4, 3, 3)
    pre, post = spikes(9, 5, 3, 1), spikes(9, 5, 4, 2)
    good, _ = rule.change(weight, pre, post, reward=torch.tensor(1.0))
    bad, _ = rule.change(weight, pre, post, reward=torch.tensor(-2.0))
    assert float(good.abs().min()) > 0
    torch.testing.assert_close(bad, -2 * good)
    causal, _ = rule.change(torch.zeros(1, 1), train(9, [2]), train(9, [4]), reward=torch.tensor(-1.0))
    assert float(causal) < 0


@pytest.mark.parametrize("reward", [None, torch.tensor(0.0), torch.zeros(5)])
def test_no_reward_changes_nothing_and_the_pairs_are_remembered(reward: Tensor | None) -> None:
    rule, weight = summing("reward"), weights(4, 3, 3)
    pre, post, silence = spikes(9, 5, 3, 1), spikes(9, 5, 4, 2), torch.zeros(7, 2, 4)
    at_once, _ = rule.change(weight, pre, post, reward=torch.tensor(1.0))
    nothing, state = rule.change(weight, pre, post, reward=reward)
    assert float(nothing.abs().max()) == 0
    later, state = rule.change(weight, silence[..., :3], silence, state, reward=torch.tensor(1.0))
    torch.testing.assert_close(later, at_once * math.exp(-7 / 1000))
    torch.testing.assert_close(later, state["eligibility"])


@settings(max_examples=30, deadline=None)
@given(
    steps=st.integers(1, 30),
    taus=st.tuples(st.floats(1.0, 40.0), st.floats(1.0, 40.0), st.floats(2.0, 90.0)),
    seed=st.integers(0, 999),
)
def test_a_reward_at_the_end_is_that_of_spikingjelly(steps: int, taus: tuple[float, float, float], seed: int) -> None:
    pre, post = spikes(steps, 1, 3, seed).double(), spikes(steps, 1, 4, seed + 1).double()
    weight, remembered = torch.zeros(4, 3, dtype=torch.double), torch.zeros(4, 3, dtype=torch.double)
    traces = torch.zeros(3, dtype=torch.double), torch.zeros(4, dtype=torch.double)
    expected = torch.zeros_like(weight)
    for before, behind in zip(pre[:, 0], post[:, 0], strict=True):
        pairs, traces = functional.mstdpet_linear_step(
            before, behind, traces, weight, tau_pre=taus[0], tau_post=taus[1], f_pre=ONE, f_post=ONE
        )
        expected, remembered = functional.mstdpet_reward_step(0.7, pairs, remembered, tau_trace=taus[2])
    rule = summing(
        "reward",
        pair={"tau_plus": taus[0], "tau_minus": taus[1], "a_plus": 1.0, "a_minus": 1.0},
        reward={"tau_eligibility": taus[2]},
    )
    change, _ = rule.change(weight, pre, post, reward=torch.tensor(0.7))
    torch.testing.assert_close(change, expected * taus[2])


def test_with_a_reward_each_a_samples_pairs_count_by_its_own() -> None:
    rule, weight, rewards = summing("reward", carry=True), weights(4, 3, 3), torch.tensor([1.0, -1.0, 0.0])
    pre, post = spikes(9, 3, 3, 1), spikes(9, 3, 4, 2)
    every, state = rule.change(weight, pre, post, reward=rewards)
    alone = [rule.change(weight, pre[:, b : b + 1], post[:, b : b + 1], reward=rewards[b])[0] for b in range(3)]
    torch.testing.assert_close(every, torch.stack(alone).sum(0))
    again, _ = rule.change(weight, pre, post, state, reward=rewards)
    same, _ = rule.change(weight, pre, post, state, reward=torch.tensor(1.0))
    assert not torch.allclose(again, same)
    torch.testing.assert_close(rule.change(weight, pre, post, state, reward=torch.ones(3))[0], same)
    with pytest.raises(ValueError, match=r"expected a reward of shape \(\) or \(3,\)"):
        rule.change(weight, pre, post, reward=torch.ones(2))
