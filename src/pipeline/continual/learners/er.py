"""Experience replay: every step also sees some images of the past (Chaudhry et al. 2019, arXiv:1902.10486)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.config.continual import LearnerConfig
from pipeline.continual.buffer import Buffer
from pipeline.continual.learner import Learner, register_learner


@register_learner("er")
class ExperienceReplay(Learner):
    """Cross-entropy of new and replayed images in one batch; the buffer is a reservoir."""

    def __init__(self, config: LearnerConfig, outputs: int, seed: int) -> None:
        super().__init__(config, outputs, seed)
        self.buffer = Buffer(config.images, 0, self.generator)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """See `Learner.loss`."""
        if self.buffer.filled:
            replayed, known, _ = self.buffer.draw(self.config.replay_batch_size, self.config.shift)
            images, labels = torch.cat([images, replayed]), torch.cat([labels, known])
        return cross_entropy(self.logits(images), labels)

    def observed(self, images: Tensor, labels: Tensor) -> None:
        """See `Learner.observed`."""
        self.buffer.offer(images, labels)

    def memory(self) -> dict[str, int]:
        """See `Learner.memory`."""
        return {"buffer": self.buffer.bytes}
