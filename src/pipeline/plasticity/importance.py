"""How much earlier tasks need each weight, and what changing it costs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

State = dict[str, Tensor]
_DAMPING = 1e-3  # xi of Zenke et al.


class Consolidation:
    """Importance over all tasks so far, and the weights that it is about.

    Args:
        network: Whose parameters are protected.
        strength: Weight lambda of the penalty.
    """

    def __init__(self, network: nn.Module, strength: float) -> None:
        self.network, self.strength = network, strength
        self.importance = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
        self.anchor: State = {}

    def penalty(self) -> Tensor:
        """lambda / 2 times the sum of importance and squared change since the last task; at first 0."""
        parts = [
            (self.importance[name] * (value - self.anchor[name]).square()).sum()
            for name, value in self.network.named_parameters()
            if self.anchor
        ]
        return self.strength / 2 * torch.stack(parts).sum() if parts else torch.zeros(())

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Add the penalty's gradient to that of every parameter."""
        if not self.anchor or not self.strength:
            return
        for name, value in self.network.named_parameters():
            if value.grad is not None:
                value.grad.addcmul_(self.importance[name], value - self.anchor[name], value=self.strength)

    def add(self, importance: Mapping[str, Tensor]) -> None:
        """A task is over: its importance is added to that of all earlier ones, which does not fade."""
        for name, value in importance.items():
            self.importance[name] += value
        self.anchor = {name: value.detach().clone() for name, value in self.network.named_parameters()}

    def state(self) -> State:
        """Everything it knows, by name."""
        parts = {"importance": self.importance, "anchor": self.anchor}
        return {f"{part}.{name}": value for part, own in parts.items() for name, value in own.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""

        def of(part: str) -> State:
            return {name.removeprefix(f"{part}."): v for name, v in state.items() if name.startswith(f"{part}.")}

        self.importance, self.anchor = of("importance"), of("anchor")


def fisher(network: nn.Module, images: Tensor, generator: torch.Generator) -> State:
    """Diagonal of the Fisher information: mean squared gradient of single images' log-likelihoods.

    Labels are drawn from the network's own predictions, as the Fisher information wants (Kirkpatrick et al. 2017,
    doi:10.1073/pnas.1611835114; Kunstner et al. 2019 on what the empirical one is not).

    Args:
        network: Images (B, 784) to logits.
        images: From 0 to 1, shape (N, 784).
        generator: Draws labels.
    """
    found = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    for image in images:
        logits = network(image[None])
        label = torch.multinomial(logits.detach().softmax(-1), 1, generator=generator)[:, 0]
        gradients = torch.autograd.grad(cross_entropy(logits, label), list(network.parameters()), allow_unused=True)
        for name, gradient in zip(found, gradients, strict=True):
            if gradient is not None:
                found[name] += gradient.square() / len(images)
    return found


class PathIntegral:
    """Synaptic intelligence: how much each weight's own way lowered the loss (Zenke et al. 2017, arXiv:1703.04200).

    Args:
        network: That is going to learn a task.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._start = {name: value.detach().clone() for name, value in network.named_parameters()}
        self._before = {name: value.clone() for name, value in self._start.items()}
        self._gained = {name: torch.zeros_like(value) for name, value in self._start.items()}

    @torch.no_grad()
    def note(self, gradients: Mapping[str, Tensor]) -> None:
        """A step was made: minus the loss's gradient before it, times the change."""
        for name, value in self._network.named_parameters():
            if name in gradients:
                self._gained[name] -= gradients[name] * (value - self._before[name])
            self._before[name].copy_(value)

    @torch.no_grad()
    def importance(self) -> State:
        """Equation 5 of Zenke et al.: what was gained, over the squared way; never below 0."""
        ways = {name: value - self._start[name] for name, value in self._network.named_parameters()}
        return {name: (gained / (ways[name].square() + _DAMPING)).clamp_min(0) for name, gained in self._gained.items()}
