"""Pairs: the change is SpikingJelly's, and its sign is the order's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based.learning import STDPLearner
from torch import Tensor, nn

from tests.plasticity.spikes import spikes, summing, train, weights

ONES = {"a_plus": 1.0, "a_minus": 1.0}
Factor = Callable[[Tensor], Tensor]


class Given(nn.Module):
    """A neuron whose spikes were decided before."""

    def forward(self, fired: Tensor) -> Tensor:
        return fired


def by_spikingjelly(
    weight: Tensor,
    calls: list[tuple[Tensor, Tensor]],
    mode: str,
    taus: tuple[float, float],
    f_pre: Factor,
    f_post: Factor,
) -> list[Tensor]:
    """The change after each call, traces carried over."""
    synapse = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    synapse.weight.data = weight.clone()
    neuron = Given()
    learner = STDPLearner(mode, synapse, neuron, *taus, f_pre=f_pre, f_post=f_post)
    changes = []
    for pre, post in calls:
        with torch.no_grad():
            if mode == "m":
                synapse(pre), neuron(post)
            else:
                for before, behind in zip(pre, post, strict=True):
                    synapse(before), neuron(behind)
        changes.append(learner.step(on_grad=False))
    learner.close()
    return changes


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 80), min_size=1, max_size=3),
    samples=st.integers(1, 9),
    sizes=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    taus=st.tuples(st.floats(1.0, 50.0), st.floats(1.0, 50.0)),
    mode=st.sampled_from(["s", "m"]),
    kind=st.sampled_from(["none", "soft"]),
    double=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_the_change_is_that_of_spikingjelly(
    lengths: list[int],
    samples: int,
    sizes: tuple[int, int],
    taus: tuple[float, float],
    mode: str,
    kind: str,
    double: bool,
    seed: int,
) -> None:
    kept = torch.double if double else torch.float32
    weight = torch.rand(sizes[1], sizes[0], generator=torch.Generator().manual_seed(seed)).to(kept)
    calls = [
        (
            spikes(steps, samples, sizes[0], seed + number).to(kept),
            spikes(steps, samples, sizes[1], seed + number + 50).to(kept),
        )
        for number, steps in enumerate(lengths)
    ]
    soft = kind == "soft"
    rule = summing(
        "pair",
        decay="euler",
        carry=True,
        reduction="sum" if double else "mean",
        bounds={"kind": "soft", "w_min": 0.0} if soft else {},
        pair=ONES | {"tau_plus": taus[0], "tau_minus": taus[1]},
    )
    f_pre: Factor = (lambda w: w) if soft else torch.ones_like
    f_post: Factor = (lambda w: 1 - w) if soft else torch.ones_like
    expected = by_spikingjelly(weight, calls, mode, taus, f_pre, f_post)
    state: dict[str, Tensor] = {}
    for (pre, post), theirs in zip(calls, expected, strict=True):
        change, state = rule.change(weight, pre, post, state)
        if double:
            torch.testing.assert_close(change, theirs, atol=1e-9, rtol=1e-9)
        else:
            torch.testing.assert_close(change, theirs / (len(pre) * samples), atol=1e-5, rtol=0)


@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize("coincident", [False, True])
def test_every_pair_counts_by_its_distance(carry: bool, coincident: bool) -> None:
    rule = summing("pair", carry=carry, coincident=coincident, step_ms=0.5, pair={"tau_plus": 3.0, "tau_minus": 5.0})
    pre, post = spikes(12, 2, 3, 1), spikes(12, 2, 4, 2)
    expected = torch.zeros(4, 3)
    for b, t, s in ((b, t, s) for b in range(2) for t in range(12) for s in range(12)):
        if not carry and (t < 7) != (s < 7):
            continue
        pair = torch.outer(post[t, b], pre[s, b])
        if t > s or (coincident and t == s):
            expected += 0.005 * torch.exp(torch.tensor(-0.5 * (t - s) / 3)) * pair
        if s > t or (coincident and t == s):
            expected -= 0.00525 * torch.exp(torch.tensor(-0.5 * (s - t) / 5)) * pair
    first, state = rule.change(torch.zeros(4, 3), pre[:7], post[:7])
    second, _ = rule.change(torch.zeros(4, 3), pre[7:], post[7:], state)
    torch.testing.assert_close(first + second, expected)


@pytest.mark.parametrize("rule", ["pair", "triplet", "reward"])
@pytest.mark.parametrize("coincident", [False, True])
def test_pre_before_post_potentiates_and_the_reverse_depresses(rule: str, coincident: bool) -> None:
    found = summing(rule, coincident=coincident)
    early, late, weight, reward = train(10, [2]), train(10, [5]), torch.zeros(1, 1), torch.tensor(1.0)
    assert float(found.change(weight, early, late, reward=reward)[0]) > 0
    assert float(found.change(weight, late, early, reward=reward)[0]) < 0


def test_the_window_is_the_published_one() -> None:
    for lag in (1, 4, 20):
        change, _ = summing("pair").change(torch.zeros(1, 1), train(40, [10]), train(40, [10 + lag]))
        assert float(change) == pytest.approx(0.005 * torch.exp(torch.tensor(-lag / 20)).item())
        change, _ = summing("pair").change(torch.zeros(1, 1), train(40, [10 + lag]), train(40, [10]))
        assert float(change) == pytest.approx(-0.00525 * torch.exp(torch.tensor(-lag / 20)).item())


def test_a_mean_does_not_depend_on_how_often_samples_are_repeated() -> None:
    pre, post, weight = spikes(9, 3, 5, 1), spikes(9, 3, 4, 2), weights(4, 5, 3)
    rule = summing("pair", reduction="mean")
    once, _ = rule.change(weight, pre, post)
    torch.testing.assert_close(once, rule.change(weight, pre.repeat(1, 4, 1), post.repeat(1, 4, 1))[0])
    torch.testing.assert_close(once * 27, summing("pair").change(weight, pre, post)[0])
