"""The local rule at work: every so many steps it changes the synapses of some blocks, steered by a controller."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from pipeline.config.liquid import LiquidModelConfig
from pipeline.config.plasticity import HomeostaticConfig, PairConfig, RuleConfig
from pipeline.plasticity.meta import Multiples, Observation, new_controller
from pipeline.plasticity.network import LiquidSpikingNetwork, Spikes
from pipeline.plasticity.rule import Rule, new_rule

STEERED = ("learning_rate", "a_plus", "a_minus", "tau_plus", "tau_minus")


def rule_of(config: LiquidModelConfig) -> Rule:
    """The rule that the document's keys describe."""
    name = "pair" if config.stdp_type == "classical" else config.stdp_type
    known: dict[str, object] = {"rule": name, "learning_rate": config.stdp_learning_rate, "step_ms": config.step_ms}
    if name in ("pair", "homeostatic", "reward"):
        known["pair"] = PairConfig(tau_plus=config.stdp_tau_plus, tau_minus=config.stdp_tau_minus)
    if name == "homeostatic":
        known["homeostatic"] = HomeostaticConfig(target_rate=config.stdp_target_rate)
    return new_rule(RuleConfig.model_validate(known))


class LocalPlasticity:
    """Rule and controller of a network.

    Args:
        network: Whose blocks are changed in place.
        config: Rule, layers, intervals, controller.
        seed: Of what the controller draws.
    """

    def __init__(self, network: LiquidSpikingNetwork, config: LiquidModelConfig, seed: int) -> None:
        self.network, self.config, self.layers = network, config, config.stdp_layers
        self.rule = rule_of(config)
        self.steered = tuple(name for name in STEERED if name in self.rule.values)
        self.states: dict[int, dict[str, Tensor]] = {}
        self.controller = (
            new_controller(config, self.steered, len(self.layers), seed)
            if config.use_meta_plasticity and self.layers
            else None
        )
        self._moved, self._updates = 0.0, 0

    def due(self, step: int) -> bool:
        """Whether the rule acts after this step."""
        return bool(self.layers) and (step + 1) % self.config.stdp_interval == 0

    def judged(self, step: int) -> bool:
        """Whether the controller is told how held-out images fare before the rule acts after this step."""
        updates = max(1, self.config.meta_interval // self.config.stdp_interval)
        return self.controller is not None and (step // self.config.stdp_interval) % updates == 0

    @torch.no_grad()
    def update(self, spikes: Mapping[int, Spikes], reward: Tensor) -> None:
        """Change every layer's synapses by what both their sides did.

        Args:
            spikes: By block.
            reward: Of every sample, shape (B,); for rules that read it.
        """
        multiples = {} if self.controller is None else self.controller.multiples()
        for place, layer in enumerate(self.layers):
            change, state = self._change(place, layer, spikes[layer], reward, multiples)
            self.network.blocks[layer].synapse.weight.add_(change)  # type: ignore[union-attr,operator]
            self.states[layer] = self.rule.rested(state)
            self._moved += float(change.abs().mean()) / len(self.layers)
        self._updates += 1

    def _change(
        self, place: int, layer: int, spikes: Spikes, reward: Tensor, multiples: Multiples
    ) -> tuple[Tensor, dict[str, Tensor]]:
        rule = self.rule
        if multiples:
            rule = rule.with_values({name: rule.values[name] * multiples[name][place] for name in self.steered})
        weight = self.network.blocks[layer].synapse.weight.detach()  # type: ignore[union-attr,operator]
        found: tuple[Tensor, dict[str, Tensor]] = rule.change(
            weight, spikes.before, spikes.after, self.states.get(layer), reward
        )
        return found

    def judge(self, images: Tensor, labels: Tensor, spikes: Mapping[int, Spikes], reward: Tensor) -> None:
        """Tell the controller how held-out images fare.

        Args:
            images: From 0 to 1, shape (B, 784).
            labels: Shape (B,).
            spikes: What the next update would see, for controllers that look ahead.
            reward: As of `update`.
        """
        if self.controller is None:
            return
        with torch.no_grad():
            logits = self.network(images)
        seen = Observation(
            float((logits.argmax(-1) == labels).float().mean()),
            float(cross_entropy(logits, labels)),
            self._moved / max(1, self._updates),
        )

        def after_update(multiples: Multiples) -> Tensor:
            changed = {}
            for place, layer in enumerate(self.layers):
                name = f"blocks.{layer}.synapse.weight"
                change, _ = self._change(place, layer, spikes[layer], reward, multiples)
                changed[name] = self.network.get_parameter(name).detach() + change
            return cross_entropy(functional_call(self.network, changed, (images,)), labels)

        self.controller.observe(seen, after_update)
        self._moved, self._updates = 0.0, 0
