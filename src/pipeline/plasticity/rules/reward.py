"""Reward: pairs leave an eligibility trace, and reward turns what is left of it into a change.

    eligibility <- exp(-elapsed / tau_eligibility) eligibility + pairs, each by its age        (N_out, N_in)
    dw = reward eligibility

Reward comes at the end of a call; no reward changes nothing and is remembered (Izhikevich 2007; Florian 2007, MSTDPET,
which divides by tau_eligibility). With one reward a sample each sample's pairs of this call count by its own, and what
earlier calls left counts by their mean.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pipeline.plasticity.rule import State, Terms, register_rule
from pipeline.plasticity.rules.pair import PairRule


@register_rule("reward")
class RewardRule(PairRule):
    """See the module; state ``eligibility``, shape (N_out, N_in)."""

    slow = frozenset({"eligibility"})

    def terms(
        self, weight: Tensor, pre: Tensor, post: Tensor, state: State, reward: Tensor | None
    ) -> tuple[Terms, dict[str, Tensor]]:
        """See `Rule.terms`."""
        steps = len(post)
        left = self.elapsed("tau_eligibility", 1) ** torch.arange(steps - 1, -1, -1).to(post)  # by age, (T,)
        products, after = self.pairs(pre, post, state, worth=left)
        divisor = self.divisor(products)
        now = products.net(1 / divisor)
        before = state.get("eligibility", torch.zeros_like(now)) * self.elapsed("tau_eligibility", steps)
        after |= {"eligibility": before + now}
        if reward is None:
            return Terms(direct=torch.zeros_like(now)), after
        reward = torch.as_tensor(reward).to(now)
        if reward.dim() == 0:
            return Terms(direct=self.values["learning_rate"] * reward * after["eligibility"]), after
        if reward.shape != pre.shape[1:2]:
            raise ValueError(f"expected a reward of shape () or ({pre.shape[1]},), found {tuple(reward.shape)}")
        each = reward.repeat(len(products.potentiation) // len(reward)).view(-1, 1)
        own = replace(products, potentiation=each * products.potentiation, depression=each * products.depression)
        return Terms(direct=self.values["learning_rate"] * (own.net(1 / divisor) + reward.mean() * before)), after
