"""Dark experience replay, DER++: replayed images keep their labels and the logits that they once had.

Buzzega et al. 2020 (arXiv:2004.07211), equation 6.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from pipeline.config.continual import LearnerConfig
from pipeline.continual.buffer import Buffer
from pipeline.continual.learner import Learner, register_learner


@register_learner("derpp")
class DarkExperienceReplay(Learner):
    """Cross-entropy of new images, ``alpha`` times the distance to old logits, ``beta`` times old labels."""

    def __init__(self, config: LearnerConfig, outputs: int, seed: int) -> None:
        super().__init__(config, outputs, seed)
        self.buffer = Buffer(config.images, outputs, self.generator)
        self._logits: Tensor

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """See `Learner.loss`."""
        logits = self.logits(images)
        self._logits = logits.detach()
        loss = cross_entropy(logits, labels)
        return loss + self.remembered() if self.buffer.filled else loss

    def remembered(self) -> Tensor:
        """The replayed part of the loss, from two draws."""
        count, shift = self.config.replay_batch_size, self.config.shift
        images, _, logits = self.buffer.draw(count, shift)
        loss = self.config.alpha * mse_loss(self.logits(images), logits)
        images, labels, _ = self.buffer.draw(count, shift)
        return loss + self.config.beta * cross_entropy(self.logits(images), labels)

    def observed(self, images: Tensor, labels: Tensor) -> None:
        """See `Learner.observed`."""
        self.buffer.offer(images, labels, self._logits)

    def memory(self) -> dict[str, int]:
        """See `Learner.memory`."""
        return {"buffer": self.buffer.bytes}
