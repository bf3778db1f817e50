"""TensorExamples as tensors, cut into batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from torch import Tensor

from pipeline.errors import DataError
from pipeline.needle.model import Batch


def rows(batch: Batch, index: Tensor, device: torch.device | str = "cpu") -> Batch:
    """Some rows of a batch, on a device.

    Args:
        batch: A dataclass whose tensors have a row for each example; what is no tensor stays as it is.
        index: Of rows, (N,).
        device: Where they go.
    """
    found = cast(Any, batch)
    tensors = {
        field.name: value[index].to(device, non_blocking=True)
        for field in fields(found)
        if isinstance(value := getattr(found, field.name), Tensor)
    }
    return cast(Batch, replace(found, **tensors))


@dataclass(frozen=True)
class TensorExamples:
    """All examples of a split.

    Attributes:
        batch: One batch of them all.
        device: Where batches go.
    """

    batch: Batch
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not len(self.batch.tokens):
            raise DataError("needle examples: expected at least one row")

    def __len__(self) -> int:
        return len(self.batch.tokens)

    def first(self, count: int) -> TensorExamples:
        """The first examples alone, for controls that need fewer."""
        return TensorExamples(rows(self.batch, torch.arange(min(count, len(self)))), self.device)

    def in_order(self, size: int) -> Iterator[Batch]:
        """All examples, a batch of this size at a time."""
        for index in torch.split(torch.arange(len(self)), size):
            yield rows(self.batch, index, self.device)

    def shuffled(self, size: int, seed: int, epoch: int, steps: int | None = None) -> Iterator[Batch]:
        """One epoch in an order that the seed and the epoch decide, whole batches alone; at most so many."""
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(len(self), generator=generator)
        for index in torch.split(order, size)[: self.steps(size, steps)]:
            yield rows(self.batch, index, self.device)

    def steps(self, size: int, most: int | None = None) -> int:
        """Batches of one epoch."""
        whole = max(len(self) // size, 1)
        return whole if most is None else min(whole, most)
