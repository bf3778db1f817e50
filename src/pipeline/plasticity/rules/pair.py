"""Pairs: a spike behind the synapse potentiates by what earlier spikes before it left, and the reverse depresses.

    dw = a_plus sum_t post_t x_t - a_minus sum_t pre_t y_t        x, y: traces of pre and post, tau_plus and tau_minus

All pairs count (Song, Miller & Abbott 2000; Morrison, Diesmann & Gerstner 2008). With decay=euler, reduction=sum,
carry=true and amplitudes of 1 it is SpikingJelly's ``STDPLearner``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.plasticity.rule import Products, Rule, State, Terms, flat, register_rule
from pipeline.plasticity.traces import ahead, earlier, trace


@register_rule("pair")
class PairRule(Rule):
    """See the module."""

    def terms(
        self, weight: Tensor, pre: Tensor, post: Tensor, state: State, reward: Tensor | None
    ) -> tuple[Terms, dict[str, Tensor]]:
        """See `Rule.terms`."""
        products, after = self.pairs(pre, post, state)
        return Terms(products), after

    def pairs(
        self, pre: Tensor, post: Tensor, state: State, worth: Tensor | None = None
    ) -> tuple[Products, dict[str, Tensor]]:
        """All pairs, and the traces after them.

        What is left of traces that were carried over stands as one more step before the others, which potentiates
        alone.

        Args:
            pre: See `Rule.change`.
            post: See `Rule.change`.
            state: Holds ``trace_pre`` and ``trace_post`` if traces were carried over, shape (B, N) each.
            worth: Of a pair by the step that completes it, shape (T,); None is 1.
        """
        plus, minus = self.factor("tau_plus"), self.factor("tau_minus")
        left = trace(post, minus, state.get("trace_post"))
        up, down = ahead(post if worth is None else post * worth[:, None, None], plus), left
        after: dict[str, Tensor] = {}
        if self.config.carry:
            after = {"trace_pre": trace(pre, plus, state.get("trace_pre"))[-1], "trace_post": left[-1]}
        first = plus * up[:1]  # what a trace from before is worth
        if not self.config.coincident:
            up = torch.cat([plus * up[1:], torch.zeros_like(first)])
            down = earlier(left, minus, state.get("trace_post"))
        down, before = down if worth is None else down * worth[:, None, None], pre
        if "trace_pre" in state:
            up, down = torch.cat([first, up]), torch.cat([torch.zeros_like(first), down])
            before = torch.cat([state["trace_pre"][None], pre])
        rows, events = flat(before), pre.shape[0] * pre.shape[1]
        found = Products(flat(self.values["a_plus"] * up), rows, flat(self.values["a_minus"] * down), rows, events)
        return found, after
