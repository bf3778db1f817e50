"""Run decoder layers on rows laid end to end: products see every token once and no padding, attention alone pads.

A step of a night has two dozen short rows of different lengths, several of which share a prefix. Laid end to end they
make one matrix of several hundred tokens, at which a CPU multiplies nearly twice as fast as at the padded pieces. And
in the last layer only tokens that predict something need a query, an output and a feed-forward pass.

A GPU would spend more time on starting the many small products of padded blocks than on computing them. There all
tokens attend to all under one mask, which depends on nothing but how many there are: see `FlatPacking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from pipeline.language.attention import grouped_attention


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
        return torch.tensor([found], device=self.device)

    @cached_property
    def asked(self) -> Tensor:
        """(M,) packed indices of the tokens that predict something."""
        found, first = [], 0
        for block in self.blocks:
            for length, columns in zip(block.lengths, block.asked, strict=True):
                found += [first + column for column in columns]
                first += length
        return torch.tensor(found, dtype=torch.long, device=self.device)

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
        row, before_row = torch.tensor([rows, behind], device=self.device)
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


def packed_layers(
    model: Any, hidden: Tensor, first: int, last: int, packing: Packing | FlatPacking, *, narrow: bool
) -> Tensor:
    """Apply decoder layers ``first`` to ``last`` (exclusive) to packed rows.

    Args:
        model: A ``LlamaForCausalLM`` or a model of its layout.
        hidden: (N, width), the output of layer ``first - 1`` or the embeddings.
        first: Index of the first layer to run.
        last: One past the last layer; the final norm is not applied here.
        packing: How the rows are packed.
        narrow: Return the M tokens that predict something, and compute the last layer for them alone.

    Returns:
        (N, width), or (M, width) if ``narrow``.
    """
    if isinstance(packing, Packing) and hidden.is_cuda:
        packing = packing.flat
    decoder = model.model
    cosine, sine = (part[0] for part in decoder.rotary_emb(hidden[None], position_ids=packing.positions))
    if narrow and first == last:
        return hidden.index_select(0, packing.asked)
    attend: Attend = _Flat(packing) if isinstance(packing, FlatPacking) else _Blocks(packing)
    for index in range(first, last):
        asked = packing.asked if narrow and index + 1 == last else None
        hidden = _layer(decoder.layers[index], hidden, cosine, sine, attend, asked)
    return hidden


def _layer(layer: Any, hidden: Tensor, cosine: Tensor, sine: Tensor, attend: Attend, asked: Tensor | None) -> Tensor:
    """One decoder layer; of the tokens ``asked`` alone, if given."""
    attention = layer.self_attn
    normed = layer.input_layernorm(hidden)
    heads = (len(hidden), -1, attention.head_dim)
    keys, values = _rotated(attention.k_proj(normed).view(heads), cosine, sine), attention.v_proj(normed).view(heads)
    if asked is not None:
        hidden, normed, cosine, sine = (x.index_select(0, asked) for x in (hidden, normed, cosine, sine))
    queries = _rotated(attention.q_proj(normed).view(len(hidden), -1, attention.head_dim), cosine, sine)
    hidden = hidden + attention.o_proj(attend(attention, queries, keys, values, asked is not None))
    return hidden + layer.mlp(layer.post_attention_layernorm(hidden))  # type: ignore[no-any-return]


def _rotated(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """(n, H, D) with rotary position embedding."""
    return apply_rotary_pos_emb(heads, heads[:, :0], cosine, sine, unsqueeze_dim=1)[0]  # type: ignore[no-any-return]


class Attend(Protocol):
    """Attention of packed tokens: queries (n, H, D), keys and values (N, G, D) to (n, H · D).

    The queries are those of all N tokens, or, if ``narrow``, of the M that predict something.
    """

    def __call__(self, attention: Any, queries: Tensor, keys: Tensor, values: Tensor, narrow: bool) -> Tensor: ...


class _Blocks:
    """Every block's queries attend to its prefix and its own row, padded to the block's longest row."""

    def __init__(self, packing: Packing) -> None:
        self.packing = packing

    def __call__(self, attention: Any, queries: Tensor, keys: Tensor, values: Tensor, narrow: bool) -> Tensor:
        packing = self.packing
        key_blocks, value_blocks = torch.split(keys, packing.sizes), torch.split(values, packing.sizes)
        query_blocks = torch.split(queries, packing.asked_sizes if narrow else packing.sizes)
        masks = packing.causal_asked if narrow else packing.causal
        found = []
        for index, block in enumerate(packing.blocks):
            grid = packing.queries[index] if narrow else packing.keys[index]
            if grid is None:
                continue
            columns = packing.keys[index]
            k, v = columns.spread(key_blocks[index]), columns.spread(value_blocks[index])
            if block.prefix is not None:
                k = torch.cat([_prefix(key_blocks[block.prefix], len(k)), k], dim=2)
                v = torch.cat([_prefix(value_blocks[block.prefix], len(v)), v], dim=2)
            mixed, _ = grouped_attention(
                attention, grid.spread(query_blocks[index]), k, v, masks[index], scaling=attention.scaling
            )
            found.append(grid.collect(mixed))
        return torch.cat(found)


class _Flat:
    """All queries attend to all tokens under one mask, in one fused product."""

    def __init__(self, packing: FlatPacking) -> None:
        self.visible = packing.visible()
        self.visible_to_asked = self.visible.index_select(0, packing.asked)

    def __call__(self, attention: Any, queries: Tensor, keys: Tensor, values: Tensor, narrow: bool) -> Tensor:
        shared = queries.shape[1] // keys.shape[1]  # query heads of every key-value head
        q, k, v = (
            x.repeat_interleave(times, dim=1).transpose(0, 1)[None]
            for x, times in ((queries, 1), (keys, shared), (values, shared))
        )
        mask = self.visible_to_asked if narrow else self.visible
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=mask[None, None], scale=attention.scaling)
        return mixed[0].transpose(0, 1).reshape(len(queries), -1)


def _prefix(tokens: Tensor, rows: int) -> Tensor:
    """(P, G, D) to (rows, G, P, D)."""
    return tokens.transpose(0, 1)[None].expand(rows, -1, -1, -1)
