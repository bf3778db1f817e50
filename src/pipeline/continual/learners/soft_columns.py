"""Soft columns with sleep: by day a task moves its own column most, by night the buffer alone is replayed to all.

At test every column votes, and which one is right has to follow from the image. The day's batches are larger than the
other learners', so that day and night together take as many steps. The night's teacher is the network as it was on the
evening of each image's day: its logits are kept, not its weights.
"""

from __future__ import annotations

import torch

from pipeline.columns.gated_adam import cosine
from pipeline.config.continual import LearnerConfig
from pipeline.continual.buffer import Buffer
from pipeline.continual.learner import register_learner
from pipeline.continual.learners.derpp import DarkExperienceReplay
from pipeline.continual.stream import Labelled
from pipeline.images import SIDE


@register_learner("soft-columns")
class SoftColumns(DarkExperienceReplay):
    """The loss of DER++ under a mask, with a balanced buffer, and a sleep after every task."""

    def __init__(self, config: LearnerConfig, outputs: int, seed: int) -> None:
        super().__init__(config, outputs, seed)
        extra = sum(self._extra(outputs).values())
        row = SIDE * SIDE + 1 + 4 * outputs  # image, label, logits
        bytes_of_er = config.images * (SIDE * SIDE + 1)
        self.buffer = Buffer((bytes_of_er - extra) // row, outputs, self.generator)
        self._tasks = 0

    def _extra(self, outputs: int) -> dict[str, int]:
        """Bytes of masks and of the biases that one network would not have."""
        columns = self.config.columns
        return {"mask": 4 * columns, "biases": 4 * outputs * (columns - 1)} if columns > 1 else {}

    def memory(self) -> dict[str, int]:
        """See `Learner.memory`."""
        return super().memory() | self._extra(self.buffer.logits.shape[1])

    def learn(self, task: Labelled) -> None:
        """A day and its night."""
        steps = -(-len(task) // self.config.batch_size)
        size, own = self.config.wake_batch_size, self._tasks % self.config.columns
        gate = torch.full((self.config.columns,), self.config.gate if self._tasks else 1.0)
        gate[own] = 1.0
        for start in range(0, len(task), size):
            images, labels = task.images[start : start + size], task.labels[start : start + size]
            self.descend(self.loss(images.float() / 255, labels), self.config.learning_rate, gate)
        self._keep(task)
        self._tasks += 1
        self._sleep(steps - -(-len(task) // size))

    def _sleep(self, steps: int) -> None:
        """Replay the buffer to all columns alike, ever more gently."""
        for step in range(steps):
            rate = cosine(step, steps, self.config.learning_rate, 0.0)
            self.descend(self.remembered(), rate, torch.ones(self.config.columns))

    def _keep(self, task: Labelled) -> None:
        """Give every task and class the same share of the buffer, and new images the logits of this evening."""
        classes = torch.unique(task.labels)
        share = len(self.buffer.labels) // (self._tasks + 1) // len(classes) * len(classes)
        before = self.buffer.filled // max(1, self._tasks)  # rows of each earlier task, one after the other
        rows = torch.cat([torch.arange(share) + before * earlier for earlier in range(self._tasks)] + [torch.arange(0)])
        of_class = [torch.nonzero(task.labels == label)[: share // len(classes), 0] for label in classes]
        new = torch.stack(of_class, 1).flatten()
        images, labels = task.images[new], task.labels[new].to(torch.uint8)
        with torch.no_grad():
            evening = self.logits(images.float() / 255)
        buffer = self.buffer
        buffer.replace(
            torch.cat([buffer.images[rows], images]),
            torch.cat([buffer.labels[rows], labels]),
            torch.cat([buffer.logits[rows], evening]),
        )
