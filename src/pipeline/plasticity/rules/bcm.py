"""BCM: rates above a threshold potentiate, rates below it depress, and the threshold slides with the neuron's activity.

    dw = mean over samples of x y (y - threshold)                  x, y: rates before and behind the synapse
    threshold <- moving average of y^2 / reference_rate            over tau_threshold

The threshold grows faster than the rate, so no neuron can answer strongly to everything: it becomes selective
(Bienenstock, Cooper & Munro 1982; the square is Intrator & Cooper's, 1992). Rates are spikes a step, at most 1, so
without a reference rate the threshold would never catch up; a reference of 1 is the document's own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.plasticity.rule import Products, Rule, State, Terms, register_rule


@register_rule("bcm")
class BcmRule(Rule):
    """See the module; state ``threshold``, shape (N_out,), spikes a step."""

    slow = frozenset({"threshold"})

    def terms(
        self, weight: Tensor, pre: Tensor, post: Tensor, state: State, reward: Tensor | None
    ) -> tuple[Terms, dict[str, Tensor]]:
        """See `Rule.terms`."""
        x, y = pre.mean(0), post.mean(0)  # (B, N)
        initial = torch.zeros_like(y[0]) + self.values["initial_threshold"]
        threshold = state.get("threshold", initial)
        left = self.elapsed("tau_threshold", len(post))
        slid = left * threshold + (1 - left) * y.square().mean(0) / self.values["reference_rate"]
        up, down = y * (y - threshold).clamp_min(0), y * (threshold - y).clamp_min(0)
        return Terms(Products(up, x, down, x, events=len(x))), {"threshold": slid}
