"""The task buffer: images of every task within a fixed budget, with labels, logits, scores and the task they came in.

Every image gets a key when it is offered, and the smallest keys leave when there are too many: with keys drawn evenly
that is reservoir sampling (Vitter 1985), with keys u^(1/score) sampling by weight (Efraimidis and Spirakis 2006). No
strategy ever drops a task.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config.liquid import Sampling
from pipeline.continual.buffer import randomly_shifted


@dataclass(frozen=True)
class Replayed:
    """Images (B, 784) from 0 to 1, labels (B,) and the logits (B, K) that each had when it was kept."""

    images: Tensor
    labels: Tensor
    logits: Tensor


class TaskBuffer:
    """What is kept of the tasks.

    Args:
        capacity: Images M, over all tasks.
        outputs: Logits K kept with each.
        strategy: ``uniform`` keeps and draws every image with the same probability, ``importance`` by its score,
            ``balanced`` keeps and draws as many of every class.
        generator: Draws keys, images and shifts.
    """

    FIELDS = ("images", "labels", "logits", "tasks", "scores", "keys")

    def __init__(self, capacity: int, outputs: int, strategy: Sampling, generator: np.random.Generator) -> None:
        self.capacity, self.strategy, self.generator = capacity, strategy, generator
        self.images = torch.zeros(0, 784, dtype=torch.uint8)
        self.labels = torch.zeros(0, dtype=torch.int64)
        self.logits = torch.zeros(0, outputs)
        self.tasks = torch.zeros(0, dtype=torch.int64)
        self.scores = torch.zeros(0)
        self.keys = torch.zeros(0, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bytes(self) -> int:
        """Memory of what is kept."""
        return sum(part.numel() * part.element_size() for part in self.state().values())

    def state(self) -> dict[str, Tensor]:
        """Everything that is kept, by name."""
        return {name: getattr(self, name) for name in self.FIELDS}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Hold what `state` returned."""
        for name in self.FIELDS:
            setattr(self, name, state[name])

    def offer(self, images: Tensor, labels: Tensor, logits: Tensor, scores: Tensor, task: int) -> None:
        """Keep some of these.

        Args:
            images: uint8, shape (B, 784).
            labels: Shape (B,).
            logits: Shape (B, K).
            scores: How much each is worth, above 0, shape (B,).
            task: In which task they came, from 0.
        """
        drawn = torch.from_numpy(self.generator.random(len(labels)))
        keys = drawn ** (1 / scores.double().clamp_min(1e-6)) if self.strategy == "importance" else drawn
        new = {
            "images": images,
            "labels": labels,
            "logits": logits,
            "tasks": torch.full_like(labels, task),
            "scores": scores,
            "keys": keys,
        }
        self.restore({name: torch.cat([own, new[name]]) for name, own in self.state().items()})
        if len(self) > self.capacity:
            kept = torch.from_numpy(self._kept())
            self.restore({name: own[kept] for name, own in self.state().items()})

    def _kept(self) -> NDArray[np.int64]:
        """Which rows stay: the largest keys, of balanced buffers the largest of every class."""
        keys = self.keys.numpy()
        balanced = self.strategy == "balanced"
        group = (self.labels if balanced else self.tasks).numpy()
        names = np.unique(group)
        floor = self.capacity // ((1 if balanced else 2) * len(names))
        ranked = np.argsort(-keys, kind="stable")
        within = np.empty(len(keys), np.int64)  # rank of each row among those of its group
        for name in names:
            rows = ranked[group[ranked] == name]
            within[rows] = np.arange(len(rows))
        # first what each group is sure of, then the largest keys, of balanced buffers the lowest ranks
        second = within if balanced else -keys
        order = np.lexsort((-keys, second, within >= max(1, floor)))
        return np.sort(order[: self.capacity])

    def draw(self, count: int, shift: int) -> Replayed:
        """Images without repetition, each moved by up to ``shift`` pixels; no more than there are."""
        weights = self._weights()
        wanted = min(count, int((weights > 0).sum()))
        rows = torch.from_numpy(self.generator.choice(len(self), wanted, replace=False, p=weights))
        images = randomly_shifted(self.images[rows], shift, self.generator).float() / 255
        return Replayed(images, self.labels[rows], self.logits[rows])

    def _weights(self) -> NDArray[np.float64]:
        if self.strategy == "importance":
            weights = self.scores.double().clamp_min(1e-6).numpy()
        elif self.strategy == "balanced":
            _, of, sizes = np.unique(self.labels.numpy(), return_inverse=True, return_counts=True)
            weights = 1.0 / sizes[of]
        else:
            weights = np.ones(len(self))
        normalised: NDArray[np.float64] = weights / weights.sum()
        return normalised
