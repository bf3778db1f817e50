"""Where the tokens of rows stand when they are laid end to end: products see every token once and no padding.

A step of a night has two dozen short rows of different lengths, several of which share a prefix. Laid end to end they
make one matrix of several hundred tokens, at which a CPU multiplies nearly twice as fast as at the padded pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def placed(values: Any, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers as a tensor on a device; a GPU copies them when it comes to it, and nobody waits."""
    tensor = torch.as_tensor(values, dtype=dtype)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


class _Spread(torch.autograd.Function):
    """(n, …) tokens to the (slots, …) of a padded grid; padding repeats the first token and passes no gradient."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, source: Tensor, slots: Tensor) -> Tensor:
        ctx.slots = slots
        return tokens.index_select(0, source)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient.index_select(0, ctx.slots), None, None


class _Collect(torch.autograd.Function):
    """The inverse: the tokens of a padded grid, its padding dropped."""

    @staticmethod
    def forward(ctx: Any, grid: Tensor, slots: Tensor) -> Tensor:
        ctx.slots, ctx.size = slots, len(grid)
        return grid.index_select(0, slots)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        whole = gradient.new_zeros(ctx.size, *gradient.shape[1:])
        return whole.index_copy_(0, ctx.slots, gradient), None


class Grid:
    """Where the tokens of ragged rows stand in a padded (rows, width) grid.

    Args:
        lengths: Tokens of every row.
        device: Of the index tensors.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.rows, self.width, self.tokens = len(lengths), max(lengths), sum(lengths)
        slots = [row * self.width + column for row, length in enumerate(lengths) for column in range(length)]
        self.slots = torch.tensor(slots, device=device)
        self.source = torch.zeros(self.rows * self.width, dtype=torch.long, device=device)
        self.source[self.slots] = torch.arange(self.tokens, device=device)

    def spread(self, tokens: Tensor) -> Tensor:
        """(n, heads, D) to (rows, heads, width, D)."""
        spread: Any = _Spread.apply
        padded: Tensor = spread(tokens, self.source, self.slots)
        return padded.view(self.rows, self.width, *tokens.shape[1:]).transpose(1, 2)

    def collect(self, padded: Tensor) -> Tensor:
        """(rows, width, heads, D) to (n, heads · D)."""
        collect: Any = _Collect.apply
        tokens: Tensor = collect(padded.reshape(self.rows * self.width, -1), self.slots)
        return tokens


@dataclass(frozen=True)
class Block:
    """Rows of similar length, one after the other, that follow the same prefix.

    Attributes:
        lengths: Tokens of every row.
        asked: Columns of every row that predict something, ascending; may be empty for all rows alike.
        prefix: Index of the block (of one row) that these rows follow; None at the start of the text.
        start: Rotary position of the first token of every row: the length of the prefix.
    """

    lengths: tuple[int, ...]
    asked: tuple[tuple[int, ...], ...]
    prefix: int | None = None
    start: int = 0


class Packing:
    """Where everything stands in a packed batch of N tokens, M of which predict something.

    Args:
        blocks: In order; a prefix comes before the rows that follow it.
        device: Of the index tensors.
    """

    def __init__(self, blocks: Sequence[Block], device: torch.device) -> None:
        self.blocks, self.device = tuple(blocks), device
        self.sizes = [sum(block.lengths) for block in blocks]
        self.asked_sizes = [sum(map(len, block.asked)) for block in blocks]

    @property
    def tokens(self) -> int:
        """N."""
        return sum(self.sizes)

    @cached_property
    def positions(self) -> Tensor:
        """(1, N) rotary positions."""
        found = [b.start + column for b in self.blocks for length in b.lengths for column in range(length)]
        return placed([found], self.device)

    @cached_property
    def asked(self) -> Tensor:
        """(M,) packed indices of the tokens that predict something."""
        found, first = [], 0
        for block in self.blocks:
            for length, columns in zip(block.lengths, block.asked, strict=True):
                found += [first + column for column in columns]
                first += length
        return placed(found, self.device, torch.long)

    @cached_property
    def own(self) -> Tensor:
        """Packed indices of the tokens of rows, those of shared prefixes left out."""
        prefixes = {block.prefix for block in self.blocks}
        parts = torch.split(torch.arange(self.tokens, device=self.device), self.sizes)
        return torch.cat([part for index, part in enumerate(parts) if index not in prefixes])

    @cached_property
    def keys(self) -> list[Grid]:
        """Grid of all tokens, block by block."""
        return [Grid(block.lengths, self.device) for block in self.blocks]

    @cached_property
    def queries(self) -> list[Grid | None]:
        """Grid of the tokens that predict something; None where a block has none."""
        return [
            Grid([len(columns) for columns in block.asked], self.device) if size else None
            for block, size in zip(self.blocks, self.asked_sizes, strict=True)
        ]

    @cached_property
    def causal(self) -> list[Tensor]:
        """(1, 1, width, prefix + width) boolean per block."""
        return [
            torch.ones(grid.width, block.start + grid.width, dtype=torch.bool, device=self.device)
            .tril(block.start)[None, None]
            for block, grid in zip(self.blocks, self.keys, strict=True)
        ]  # fmt: skip

    @cached_property
    def causal_asked(self) -> list[Tensor]:
        """(rows, 1, asked width, prefix + width) boolean per block; padding queries see the first token's columns."""
        found = []
        for block, queries, keys in zip(self.blocks, self.queries, self.keys, strict=True):
            columns = torch.zeros(len(block.lengths), queries.width if queries else 0, dtype=torch.long)
            for row, asked in enumerate(block.asked):
                columns[row, : len(asked)] = torch.tensor(asked, dtype=torch.long)
            seen = torch.arange(block.start + keys.width) <= columns[:, :, None] + block.start
            found.append(seen[:, None].to(self.device))
        return found

    @cached_property
    def flat(self) -> FlatPacking:
        """The same batch under one mask."""
        rows, behind, first = [], [], 0
        starts: list[int] = []  # number of the first row of every block
        for block in self.blocks:
            starts.append(first)
            before = -1 if block.prefix is None else starts[block.prefix]
            for place, length in enumerate(block.lengths):
                rows += [first + place] * length
                behind += [before] * length
            first += len(block.lengths)
        row, before_row = placed([rows, behind], self.device)
        return FlatPacking(self.positions[0], row, before_row, self.asked)


@dataclass(frozen=True)
class FlatPacking:
    """Where everything stands in a packed batch of N tokens, M of which predict something, without its blocks.

    Attributes:
        places: (N,) rotary positions.
        row: (N,) number of the row that a token belongs to; a prefix is a row of its own.
        behind: (N,) number of the row that stands before that one, -1 if none does.
        asked: (M,) packed indices of the tokens that predict something.
    """

    places: Tensor
    row: Tensor
    behind: Tensor
    asked: Tensor

    @property
    def positions(self) -> Tensor:
        """(1, N) rotary positions."""
        return self.places[None]

    def visible(self) -> Tensor:
        """(N, N) boolean: a token sees its own row and the prefix of that, up to itself."""
        near = (self.row[None] == self.row[:, None]) | (self.row[None] == self.behind[:, None])
        return near & (self.places[None] <= self.places[:, None])
