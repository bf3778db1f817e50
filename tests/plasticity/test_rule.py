"""What all rules share: weights keep their signs, bounds hold, gradients flow, and what does not fit is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from pipeline.config.plasticity import RuleConfig, UnsupervisedConfig
from pipeline.errors import ConfigError
from pipeline.plasticity.rule import RULES, new_rule
from tests.plasticity.spikes import spikes, summing, weights

EVERY = ["bcm", "homeostatic", "pair", "reward", "triplet"]
REWARD = torch.tensor(-1.5)


def test_every_rule_that_can_be_configured_is_there() -> None:
    assert list(RULES.names()) == EVERY
    with pytest.raises(ConfigError, match="unknown rule 'hebb'; there are: bcm"):
        RULES.find("hebb")


@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize("kind", ["none", "soft", "hard"])
def test_silence_changes_no_weight_whatever_its_sign(rule: str, kind: str) -> None:
    bounds = {"kind": kind} | ({} if kind == "none" else {"w_min": 0.0, "w_max": 0.3})
    settings = {"homeostatic": {"homeostatic_rate": 0.0}} if rule == "homeostatic" else {}
    weight, silence = weights(5, 6, 1), torch.zeros(4, 3, 6)
    assert float((weight < 0).float().mean()) > 0.3 and float((weight > 0.3).float().mean()) > 0.1
    change, _ = summing(rule, bounds=bounds, **settings).change(weight, silence, silence[..., :5], reward=REWARD)
    assert torch.equal(change, torch.zeros(5, 6))


@settings(max_examples=40, deadline=None)
@given(rule=st.sampled_from(EVERY), seed=st.integers(0, 1000), rate=st.floats(0.05, 0.9), size=st.floats(0.1, 100))
def test_hard_bounds_hold_and_let_what_is_outside_only_come_back(
    rule: str, seed: int, rate: float, size: float
) -> None:
    bounds = {"kind": "hard", "w_min": -0.4, "w_max": 0.6}
    weight, pre, post = weights(5, 6, seed), spikes(7, 3, 6, seed, rate), spikes(7, 3, 5, seed + 1, rate)
    change, _ = summing(rule, bounds=bounds, learning_rate=size).change(weight, pre, post, reward=REWARD)
    new, inside = weight + change, (weight >= -0.4) & (weight <= 0.6)
    assert float(new[inside].min()) >= -0.4 - 1e-6 and float(new[inside].max()) <= 0.6 + 1e-6
    assert bool((change[weight > 0.6] <= 0).all()) and bool((change[weight < -0.4] >= 0).all())
    free, _ = summing(rule, learning_rate=size).change(weight, pre, post, reward=REWARD)
    untouched = ((weight + free) > -0.4) & ((weight + free) < 0.6) & inside
    torch.testing.assert_close(change[untouched], free[untouched])


@pytest.mark.parametrize("rule", EVERY)
def test_soft_bounds_stop_what_leads_past_them_and_let_the_rest_through(rule: str) -> None:
    settings = {"bcm": {"initial_threshold": 0.3}} if rule == "bcm" else {}
    soft = summing(rule, bounds={"kind": "soft", "w_min": -0.5, "w_max": 0.5}, **settings)
    pre, post = spikes(7, 3, 6, 1), spikes(7, 3, 5, 2)
    for bound, sign in ((-0.5, -1), (0.5, 1)):
        at_the_bound = torch.full((5, 6), bound)
        change, _ = soft.change(at_the_bound, pre, post, reward=REWARD)
        free, _ = summing(rule, **settings).change(at_the_bound, pre, post, reward=REWARD)
        assert bool((change * sign <= 0).all())
        assert float(change.abs().sum()) > 0 and bool((free * sign > 0).any())


@pytest.mark.parametrize("rule", EVERY)
def test_gradients_reach_spikes_weights_and_constants(rule: str) -> None:
    base = summing(rule, bounds={"kind": "soft"}, carry=rule != "bcm")
    names = [name for name in base.values if name not in ("target_rate", "initial_threshold")]
    constants = [torch.tensor(float(base.values[name]) * 1.5 + 0.1, dtype=torch.double) for name in names]
    pre, post = (torch.rand(5, 2, n, dtype=torch.double) * 0.8 + 0.1 for n in (3, 4))
    weight, reward = weights(4, 3, 1).double() * 0.5, torch.tensor([1.0, -2.0], dtype=torch.double)

    def twice(weight: Tensor, pre: Tensor, post: Tensor, *values: Tensor) -> Tensor:
        found = base.with_values(dict(zip(names, values, strict=True)))
        first, state = found.change(weight, pre, post, {}, reward)
        return weight + first + found.change(weight + first, pre, post, state, reward)[0]

    inputs = [value.requires_grad_() for value in (weight, pre, post, *constants)]
    assert torch.autograd.gradcheck(twice, inputs, atol=1e-5)
    twice(*inputs).square().sum().backward()
    reached = {name: float(value.grad.abs().sum()) for name, value in zip(names, constants, strict=True)}
    assert all(size > 0 for size in reached.values()), reached


def test_unknown_constants_are_refused() -> None:
    with pytest.raises(ValueError, match="rule pair has no tau_x; there are: learning_rate, tau_plus"):
        summing("pair").with_values({"tau_x": 3.0})


def test_shapes_that_do_not_fit_are_refused() -> None:
    rule, pre, post = summing("pair", carry=True), spikes(4, 3, 6, 1), spikes(4, 3, 5, 2)
    for weight, before, behind in (
        (weights(6, 5, 1), pre, post),
        (weights(5, 6, 1), pre[:3], post),
        (weights(5, 6, 1), pre[:0], post[:0]),
        (weights(5, 6, 1), pre[0], post[0]),
    ):
        with pytest.raises(ValueError, match="expected weight"):
            rule.change(weight, before, behind)


def test_another_batch_needs_rest_and_keeps_what_is_slow() -> None:
    rule = summing("homeostatic", carry=True)
    weight, pre, post = weights(5, 6, 1), spikes(4, 3, 6, 1), spikes(4, 3, 5, 2)
    _, state = rule.change(weight, pre, post)
    with pytest.raises(ValueError, match=r"of 3 samples, the spikes of 2: pass rule.rested"):
        rule.change(weight, pre[:, :2], post[:, :2], state)
    rested = rule.rested(state)
    assert set(rested) == {"rate"}
    rule.change(weight, pre[:, :2], post[:, :2], rested)


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.double])
def test_spikes_of_any_type_are_taken(kind: torch.dtype) -> None:
    weight, pre, post = weights(5, 6, 1), spikes(4, 3, 6, 1), spikes(4, 3, 5, 2)
    change, _ = summing("pair").change(weight, pre.to(kind), post.to(kind))
    assert change.dtype == torch.float32 and torch.equal(change, summing("pair").change(weight, pre, post)[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "hebb"}, "Input should be"),
        ({"rule": "pair", "tau": 3.0}, "Extra inputs"),
        ({"rule": "pair", "pair": {"tau_x": 3.0}}, "Extra inputs"),
        ({"rule": "pair", "bcm": {"tau_threshold": 5.0}}, "rule=pair reads no section bcm"),
        ({"rule": "triplet", "pair": {"a_plus": 1.0}}, "rule=triplet reads no section pair"),
        ({"rule": "bcm", "carry": True}, "rates and no traces"),
        ({"rule": "pair", "pair": {"tau_plus": 0.0}}, "greater than 0"),
        ({"rule": "pair", "decay": "euler", "pair": {"tau_plus": 0.5}}, "pair.tau_plus 0.5 < 1.0"),
        ({"bounds": {"kind": "none", "w_max": 2.0}}, "kind=none reads no w_max"),
        ({"bounds": {"kind": "hard", "w_min": 2.0}}, "w_min 2.0 is not below w_max 1.0"),
        ({"rule": "homeostatic", "homeostatic": {"target_rate": 1.5}}, "less than or equal to 1"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RuleConfig.model_validate(settings)


@pytest.mark.parametrize("rule", EVERY)
def test_a_configuration_survives_being_written_and_read(rule: str) -> None:
    config = RuleConfig.model_validate({"rule": rule, "bounds": {"kind": "soft", "w_min": 0.0}})
    again = RuleConfig.model_validate(config.model_dump(mode="json"))
    assert again == config and type(new_rule(again)) is RULES.find(rule)


def test_every_key_says_what_it_means() -> None:
    parts = [RuleConfig, UnsupervisedConfig] + [type(field.default) for field in RuleConfig.model_fields.values()]
    for part in parts:
        for name, field in getattr(part, "model_fields", {}).items():
            assert field.description, f"{part.__name__}.{name}"
