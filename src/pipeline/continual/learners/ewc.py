"""Elastic weight consolidation, online: earlier Fisher matrices are summed, and the last weights are the anchor.

Kirkpatrick et al. 2017 (arXiv:1612.00796), Schwarz et al. 2018 (arXiv:1805.06370) with gamma 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.config.continual import LearnerConfig
from pipeline.continual.learner import Learner, register_learner
from pipeline.continual.stream import Labelled


@register_learner("ewc")
class ElasticWeightConsolidation(Learner):
    """Cross-entropy, and a spring to the weights after the last task that is as stiff as they were important."""

    def __init__(self, config: LearnerConfig, outputs: int, seed: int) -> None:
        super().__init__(config, outputs, seed)
        self.fisher = [torch.zeros_like(p) for p in self.network.parameters()]
        self._anchor = [p.detach().clone() for p in self.network.parameters()]

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """See `Learner.loss`."""
        moved = zip(self.network.parameters(), self._anchor, self.fisher, strict=True)
        pull = torch.stack([(fisher * (now - then).square()).sum() for now, then, fisher in moved]).sum()
        return cross_entropy(self.logits(images), labels) + self.config.ewc_weight / 2 * pull

    def ended(self, task: Labelled) -> None:
        """Add the task's Fisher diagonal: squared gradients of single images' answers, drawn from the network's own."""
        rows = self.generator.permutation(len(task))[: self.config.fisher_images]
        draws = torch.Generator().manual_seed(int(self.generator.integers(2**31)))
        for image in task.images[torch.from_numpy(rows)].float() / 255:
            logits = self.logits(image[None])
            answer = torch.multinomial(torch.softmax(logits.detach(), 1), 1, generator=draws)[:, 0]
            gradients = torch.autograd.grad(cross_entropy(logits, answer), list(self.network.parameters()))
            for fisher, gradient in zip(self.fisher, gradients, strict=True):
                fisher += gradient.square() / len(rows)
        self._anchor = [p.detach().clone() for p in self.network.parameters()]

    def memory(self) -> dict[str, int]:
        """See `Learner.memory`."""
        size = sum(p.numel() * p.element_size() for p in self.network.parameters())
        return {"fisher": size, "anchor": size}
