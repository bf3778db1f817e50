"""Synaptic scaling beside pairs: every neuron's weights follow how far its rate is from the target.

    average <- moving average of the neuron's rate over tau_homeostatic
    weights that excite grow by exp(homeostatic_rate elapsed (1 - average / target)), those that inhibit shrink by it

All synapses of a neuron change by one factor, so their ratios stay (Turrigiano 2008), and no weight changes its sign.
Moving both signs by one factor, as weights times the error does, would silence a neuron that is inhibited on balance
the more, the less it fires.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pipeline.plasticity.rule import State, Terms, register_rule
from pipeline.plasticity.rules.pair import PairRule


@register_rule("homeostatic")
class HomeostaticRule(PairRule):
    """See the module; state ``rate``, shape (N_out,), spikes a step."""

    slow = frozenset({"rate"})

    def terms(
        self, weight: Tensor, pre: Tensor, post: Tensor, state: State, reward: Tensor | None
    ) -> tuple[Terms, dict[str, Tensor]]:
        """See `Rule.terms`."""
        terms, after = super().terms(weight, pre, post, state, reward)
        now, left = post.mean((0, 1)), self.elapsed("tau_homeostatic", len(post))
        target = self.values["target_rate"]
        before = state.get("rate", torch.zeros_like(now) + target)
        rate = left * before + (1 - left) * now
        elapsed = len(post) * self.config.step_ms
        growth = self.values["homeostatic_rate"] * elapsed * (1 - rate / target)
        direct = weight * torch.expm1(growth[:, None] * weight.sign())
        return replace(terms, direct=direct), after | {"rate": rate}
