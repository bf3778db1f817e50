"""Replay buffers of fixed size: images as bytes, with their labels and, where a learner wants them, its own logits."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.images import SIDE


class Buffer:
    """Rows that are written by place.

    Args:
        capacity: Images M.
        outputs: Logits K kept with each image; 0 for none.
        generator: Chooses rows.
    """

    def __init__(self, capacity: int, outputs: int, generator: np.random.Generator) -> None:
        self.images = torch.zeros(capacity, SIDE * SIDE, dtype=torch.uint8)
        self.labels = torch.zeros(capacity, dtype=torch.uint8)
        self.logits = torch.zeros(capacity, outputs)
        self.filled = 0
        self._seen = 0
        self._generator = generator

    @property
    def bytes(self) -> int:
        """Memory of a full buffer."""
        return sum(part.numel() * part.element_size() for part in (self.images, self.labels, self.logits))

    def offer(self, images: Tensor, labels: Tensor, logits: Tensor | None = None) -> None:
        """Reservoir sampling (Vitter 1985): every image offered so far is kept with the same probability.

        Args:
            images: uint8, shape (B, 784).
            labels: Shape (B,).
            logits: Shape (B, K), or None.
        """
        for number in range(len(labels)):
            if self.filled < len(self.labels):
                place = self.filled
                self.filled += 1
            else:
                place = int(self._generator.integers(self._seen + 1))
            self._seen += 1
            if place < len(self.labels):
                self.images[place], self.labels[place] = images[number], labels[number]
                if logits is not None:
                    self.logits[place] = logits[number]

    def replace(self, images: Tensor, labels: Tensor, logits: Tensor) -> None:
        """Hold exactly these rows, no more than the capacity."""
        self.filled = len(labels)
        self.images[: self.filled], self.labels[: self.filled] = images, labels.to(torch.uint8)
        self.logits[: self.filled] = logits

    def draw(self, count: int, shift: int) -> tuple[Tensor, Tensor, Tensor]:
        """Rows without repetition, each image moved by up to ``shift`` pixels.

        Returns:
            Images (B, 784) from 0 to 1, labels (B,) int64, logits (B, K); B is ``count``, or all there are.
        """
        rows = torch.from_numpy(self._generator.permutation(self.filled)[:count])
        images = randomly_shifted(self.images[rows], shift, self._generator).float() / 255
        return images, self.labels[rows].long(), self.logits[rows]


def randomly_shifted(images: Tensor, shift: int, generator: np.random.Generator) -> Tensor:
    """Every image moved on its own by up to ``shift`` pixels in both directions; what enters is blank.

    Args:
        images: Shape (B, 784).
        shift: Pixels.
        generator: Draws the moves, evenly.
    """
    if not shift:
        return images
    count, wide = len(images), SIDE + 2 * shift
    padded = torch.zeros(count, wide, wide, dtype=images.dtype)
    padded[:, shift : shift + SIDE, shift : shift + SIDE] = images.view(count, SIDE, SIDE)
    down, right = torch.from_numpy(generator.integers(0, 2 * shift + 1, (2, count)))
    rows = (down[:, None] + torch.arange(SIDE))[:, :, None]
    columns = (right[:, None] + torch.arange(SIDE))[:, None, :]
    return padded[torch.arange(count)[:, None, None], rows, columns].view(count, -1)
