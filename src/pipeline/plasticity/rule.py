"""Plasticity rules: from spikes on both sides of a layer to the change of its weights, in matrix form.

    rule = new_rule(RuleConfig(rule="pair"))
    change, state = rule.change(weight, before, after)      # spikes (T, B, N_in) and (T, B, N_out)
    weight += change

A rule is a pure function: what it remembers is the state that it returns. A new rule is one file of
`pipeline.plasticity.rules`:

    @register_rule("pair")
    class PairRule(Rule):
        def terms(self, weight, pre, post, state, reward): ...

Every change is a product of two matrices of T B rows, one with a column for each neuron behind the synapses and one
for each neuron before them. Without soft bounds what potentiates and what depresses shares one product.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from pipeline.config.plasticity import BoundsConfig, RuleConfig
from pipeline.plasticity import rules
from pipeline.plasticity.traces import decay
from pipeline.registry import Registry

State = Mapping[str, Tensor]
"""What a rule remembers between calls, by name."""


@dataclass(frozen=True)
class Products:
    """A change as potentiation^T before_up - depression^T before_down.

    Attributes:
        potentiation: Not negative, shape (R, N_out).
        before_up: Its other side, not negative, shape (R, N_in).
        depression: Not negative, shape (S, N_out).
        before_down: Its other side, not negative, shape (S, N_in); the same tensor as ``before_up`` saves a product.
        events: Samples, times steps where each step counts: what a mean divides by.
    """

    potentiation: Tensor
    before_up: Tensor
    depression: Tensor
    before_down: Tensor
    events: int

    def net(self, scale: float | Tensor = 1.0) -> Tensor:
        """``scale`` times the change, shape (N_out, N_in)."""
        if self.before_up is self.before_down:
            return (scale * (self.potentiation - self.depression)).T @ self.before_up
        up = (scale * self.potentiation).T @ self.before_up
        return torch.addmm(up, (scale * self.depression).T, self.before_down, alpha=-1)


@dataclass(frozen=True)
class Terms:
    """What a rule finds in spikes.

    Attributes:
        products: What the learning rate scales.
        direct: Change beside it, as it is, shape (N_out, N_in).
    """

    products: Products | None = None
    direct: Tensor | None = None


class Rule(ABC):
    """One plasticity rule.

    Args:
        config: The rule and its constants.

    Attributes:
        slow: Names in the state that belong to neurons and synapses, not to the samples of a batch.
    """

    slow: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, config: RuleConfig) -> None:
        self.config = config
        self.values: Mapping[str, float | Tensor] = {"learning_rate": config.learning_rate} | {
            key: value for name in config.sections for key, value in getattr(config, name)
        }

    @abstractmethod
    def terms(
        self, weight: Tensor, pre: Tensor, post: Tensor, state: State, reward: Tensor | None
    ) -> tuple[Terms, dict[str, Tensor]]:
        """The rule itself; arguments as `change`, spikes in the weights' type."""

    def change(
        self, weight: Tensor, pre: Tensor, post: Tensor, state: State | None = None, reward: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """How spikes change the weights.

        Args:
            weight: Shape (N_out, N_in), as of ``torch.nn.Linear``.
            pre: Spikes of the neurons before the synapses, shape (T, B, N_in).
            post: Spikes of those behind, shape (T, B, N_out).
            state: What the call before returned; None is a new layer at rest.
            reward: Shape () or (B,), read by the rule ``reward`` alone; None is none.

        Returns:
            What to add to the weights, shape (N_out, N_in), and the state for the next call.

        Raises:
            ValueError: Shapes do not fit together, or the state is another batch's.
        """
        self._check(weight, pre, post, state or {})
        pre, post = pre.to(weight.dtype), post.to(weight.dtype)
        terms, after = self.terms(weight, pre, post, state or {}, reward)
        scale = self.values["learning_rate"] / (self.divisor(terms.products) if terms.products else 1)
        return _bounded(weight, terms, scale, self.config.bounds), after

    def with_values(self, values: Mapping[str, float | Tensor]) -> Self:
        """The same rule with some of its constants replaced, for example by tensors that have gradients.

        Args:
            values: By the configuration's keys, for example ``a_plus``; scalars.

        Raises:
            ValueError: The rule has no such constant.
        """
        if unknown := sorted(set(values) - set(self.values)):
            known = ", ".join(self.values)
            raise ValueError(f"rule {self.config.rule} has no {', '.join(unknown)}; there are: {known}")
        changed = copy.copy(self)
        changed.values = {**self.values, **values}
        return changed

    def rested(self, state: State) -> dict[str, Tensor]:
        """The state for other samples, or another number of them: traces are at rest, the rest is remembered."""
        return {name: value for name, value in state.items() if name in self.slow}

    def divisor(self, products: Products) -> int:
        """What ``reduction`` divides by."""
        return products.events if self.config.reduction == "mean" else 1

    def factor(self, name: str) -> float | Tensor:
        """Share of a trace left after a step, by the name of its time constant."""
        return decay(self.values[name], self.config.step_ms, self.config.decay)

    def elapsed(self, name: str, steps: int) -> float | Tensor:
        """Share of a moving average that is left after ``steps``, by the name of its time constant."""
        return decay(self.values[name], steps * self.config.step_ms, "exponential")

    def _check(self, weight: Tensor, pre: Tensor, post: Tensor, state: State) -> None:
        fits = pre.dim() == 3 and post.dim() == 3 and pre.shape[:2] == post.shape[:2] and min(pre.shape[:2]) > 0
        if not fits or weight.shape != (post.shape[2], pre.shape[2]):
            found = ", ".join(str(tuple(part.shape)) for part in (weight, pre, post))
            raise ValueError(f"expected weight (N_out, N_in), pre (T, B, N_in), post (T, B, N_out), found {found}")
        for name, value in state.items():
            if name not in self.slow and len(value) != pre.shape[1]:
                raise ValueError(
                    f"state {name} is of {len(value)} samples, the spikes of {pre.shape[1]}: pass rule.rested(state)"
                )


def _bounded(weight: Tensor, terms: Terms, scale: float | Tensor, bounds: BoundsConfig) -> Tensor:
    """The change of the weights within their bounds, see `BoundsConfig`."""
    found, direct = terms.products, terms.direct
    if bounds.kind == "soft":
        up = down = torch.zeros((), dtype=weight.dtype, device=weight.device)
        if found is not None:
            up = (scale * found.potentiation).T @ found.before_up
            down = (scale * found.depression).T @ found.before_down
        if direct is not None:
            up, down = up + direct.clamp_min(0), down - direct.clamp_max(0)
        return up * (bounds.w_max - weight).clamp_min(0) - down * (weight - bounds.w_min).clamp_min(0)
    if found is None:
        change = torch.zeros_like(weight) if direct is None else direct
    else:
        change = found.net(scale) if direct is None else found.net(scale) + direct
    if bounds.kind == "hard":
        lowest, highest = (bounds.w_min - weight).clamp_max(0), (bounds.w_max - weight).clamp_min(0)
        change = torch.minimum(torch.maximum(change, lowest), highest)
    return change


def flat(values: Tensor) -> Tensor:
    """Steps and samples as rows, shape (T B, N)."""
    return values.reshape(-1, values.shape[-1])


RULES = Registry[type[Rule]]("rule", rules)
register_rule = RULES.register
"""Class decorator: makes the rule known to ``rule``."""


def new_rule(config: RuleConfig) -> Rule:
    """The rule that the configuration names.

    Raises:
        ConfigError: There is none of that name.
    """
    return RULES.find(config.rule)(config)
