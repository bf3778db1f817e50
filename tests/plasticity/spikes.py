"""Spikes and weights for the tests of rules, and rules without a learning rate of their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pipeline.config.plasticity import RuleConfig
from pipeline.plasticity.rule import Rule, new_rule


def spikes(steps: int, samples: int, neurons: int, seed: int, rate: float = 0.3) -> Tensor:
    """Zeros and ones, shape (T, B, N)."""
    drawn = torch.rand(steps, samples, neurons, generator=torch.Generator().manual_seed(seed))
    return (drawn < rate).float()


def weights(behind: int, before: int, seed: int) -> Tensor:
    """Of both signs, most of them between -1 and 1, shape (N_out, N_in)."""
    return torch.randn(behind, before, generator=torch.Generator().manual_seed(seed)) * 0.5


def summing(rule: str, **settings: Any) -> Rule:
    """A rule of which every spike counts as published."""
    return new_rule(RuleConfig.model_validate({"rule": rule, "learning_rate": 1.0, "reduction": "sum"} | settings))


def train(steps: int, at: list[int]) -> Tensor:
    """One neuron of one sample that fires at the given steps, shape (T, 1, 1)."""
    fired = torch.zeros(steps, 1, 1)
    fired[at] = 1
    return fired
