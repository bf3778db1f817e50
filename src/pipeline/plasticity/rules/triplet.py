"""Triplets of spikes, all to all (Pfister & Gerstner 2006, J. Neurosci. 26:9673, equations 2 to 4).

    at a postsynaptic spike   w += r1 (a2_plus + a3_plus o2)       r1, r2: traces of pre, tau_plus and tau_x
    at a presynaptic spike    w -= o1 (a2_minus + a3_minus r2)     o1, o2: traces of post, tau_minus and tau_y

The slow traces r2 and o2 are read just before the spike. So potentiation grows with the frequency of pairs, as in
visual cortex (Sjöström, Turrigiano & Nelson 2001), which pairs alone cannot do.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.config.plasticity import TripletConfig
from pipeline.plasticity.rule import Products, Rule, State, Terms, flat, register_rule
from pipeline.plasticity.traces import ahead, earlier, trace

FITS = {
    "visual cortex, full": TripletConfig(),
    "visual cortex, minimal": TripletConfig(a2_plus=0.0, a3_plus=6.5e-3, a2_minus=7.1e-3, a3_minus=0.0, tau_y=114.0),
    "hippocampus, full": TripletConfig(
        a2_plus=6.1e-3, a3_plus=6.7e-3, a2_minus=1.6e-3, a3_minus=1.4e-3, tau_x=946.0, tau_y=27.0
    ),
    "hippocampus, minimal": TripletConfig(a2_plus=5.3e-3, a3_plus=8e-3, a2_minus=3.5e-3, a3_minus=0.0, tau_y=40.0),
}
"""The published fits for all-to-all interaction, tables 3 and 4."""


@register_rule("triplet")
class TripletRule(Rule):
    """See the module."""

    def terms(
        self, weight: Tensor, pre: Tensor, post: Tensor, state: State, reward: Tensor | None
    ) -> tuple[Terms, dict[str, Tensor]]:
        """See `Rule.terms`."""
        values, plus, minus = self.values, self.factor("tau_plus"), self.factor("tau_minus")
        x, y = self.factor("tau_x"), self.factor("tau_y")
        o1, o2 = trace(post, minus, state.get("o1")), trace(post, y, state.get("o2"))
        r2 = trace(pre, x, state.get("r2"))
        spikes_up = post * (values["a2_plus"] + values["a3_plus"] * earlier(o2, y, state.get("o2")))
        spikes_down = pre * (values["a2_minus"] + values["a3_minus"] * earlier(r2, x, state.get("r2")))
        up, down, before = ahead(spikes_up, plus), o1, pre
        first = plus * up[:1]
        if not self.config.coincident:
            up = torch.cat([plus * up[1:], torch.zeros_like(first)])
            down = earlier(o1, minus, state.get("o1"))
        if "r1" in state:
            up, before = torch.cat([first, up]), torch.cat([state["r1"][None], pre])
        after: dict[str, Tensor] = {}
        if self.config.carry:
            r1 = trace(pre, plus, state.get("r1"))
            after = {"r1": r1[-1], "r2": r2[-1], "o1": o1[-1], "o2": o2[-1]}
        events = pre.shape[0] * pre.shape[1]
        return Terms(Products(flat(up), flat(before), flat(down), flat(spikes_down), events)), after
