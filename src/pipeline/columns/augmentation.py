"""Small changes of images that leave their answers as they are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.images import SIDE


def shifted(images: Tensor, rows: int, columns: int) -> Tensor:
    """Images (B, 784) moved down and to the right; what leaves on one side enters blank on the other."""
    if not rows and not columns:
        return images
    moved = torch.zeros_like(images).view(-1, SIDE, SIDE)
    square = images.view(-1, SIDE, SIDE)
    down, right = slice(max(0, rows), SIDE + min(0, rows)), slice(max(0, columns), SIDE + min(0, columns))
    up, left = slice(max(0, -rows), SIDE + min(0, -rows)), slice(max(0, -columns), SIDE + min(0, -columns))
    moved[:, down, right] = square[:, up, left]
    return moved.view(-1, SIDE * SIDE)


def shifted_together(images: Tensor, most: int, generator: np.random.Generator) -> Tensor:
    """A batch (B, 784), all of it moved by the same random number of pixels, up to ``most`` each way."""
    if not most:
        return images
    down, right = generator.integers(-most, most + 1, 2)
    return shifted(images, int(down), int(right))
