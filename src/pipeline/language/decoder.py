"""Run a slice of a decoder's layers on hidden states, with a prompt prefix that all rows of a batch share.

Two facts make nights affordable on two cores. Rows of one kind begin with the same tokens (the system turn, or the
worked examples of the memory prompt), so those tokens pass through the layers once per batch instead of once per row.
And an adapter in the upper layers leaves the lower ones frozen, so their output is computed once per row and night.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

PREFIX_KEY = 12  # rows that agree in this many first tokens may share a prefix


class PrefixCache:
    """Keys and values of a shared prefix, each (1, key-value heads, P, head width), one pair per layer.

    It speaks the ``update`` protocol of transformers' caches: the first pass (batch 1) records, later passes put the
    recorded prefix before the keys and values of every row. Gradients flow through the record.
    """

    def __init__(self) -> None:
        self.recorded: dict[int, tuple[Tensor, Tensor]] = {}
        self.recording = True

    @property
    def length(self) -> int:
        """Tokens in the prefix, P."""
        return next((keys.shape[2] for keys, _ in self.recorded.values()), 0)

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Record the prefix's keys and values, or prepend them to those of a batch."""
        if self.recording:
            self.recorded[layer] = (keys, values)
            return keys, values
        before, after = self.recorded[layer]
        rows = keys.shape[0]
        return (
            torch.cat([before.expand(rows, -1, -1, -1), keys], dim=2),
            torch.cat([after.expand(rows, -1, -1, -1), values], dim=2),
        )


class DecodingCache:
    """Preallocated keys and values of a batch that grows by one column a step and shrinks as rows finish."""

    def __init__(self, prefix: PrefixCache, rows: int, capacity: int) -> None:
        self.prefix, self.rows, self.capacity = prefix, rows, capacity
        self.length = prefix.length
        self.buffers: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append this step's keys and values (B, H, S, D) at the current column and return all columns so far."""
        if layer not in self.buffers:
            self.buffers[layer] = (self._allocate(layer, keys, 0), self._allocate(layer, values, 1))
        end = self.length + keys.shape[2]
        all_keys, all_values = self.buffers[layer]
        all_keys[:, :, self.length : end] = keys
        all_values[:, :, self.length : end] = values
        return all_keys[:, :, :end], all_values[:, :, :end]

    def _allocate(self, layer: int, like: Tensor, which: int) -> Tensor:
        buffer = like.new_empty(self.rows, like.shape[1], self.capacity, like.shape[3])
        if self.prefix.length:
            buffer[:, :, : self.prefix.length] = self.prefix.recorded[layer][which]
        return buffer

    def keep(self, rows: Tensor) -> None:
        """Keep only these rows (indices) of the batch; one layer at a time, so that hardly anything is held twice."""
        self.rows = len(rows)
        for layer in self.buffers:
            keys, values = self.buffers[layer]
            self.buffers[layer] = (keys.index_select(0, rows), values.index_select(0, rows))


def run_layers(
    model: Any,
    hidden: Tensor,
    first: int,
    last: int,
    *,
    positions: Tensor,
    mask: Tensor | None = None,
    cache: PrefixCache | DecodingCache | None = None,
) -> Tensor:
    """Apply decoder layers ``first`` to ``last`` (exclusive) of a causal language model.

    Args:
        model: A ``LlamaForCausalLM`` or a model of its layout.
        hidden: (B, S, width), the output of layer ``first - 1`` or the embeddings.
        first: Index of the first layer to run.
        last: One past the last layer; the final norm is not applied here.
        positions: (B or 1, S) rotary positions.
        mask: (B or 1, 1, S, columns) boolean, True where attention is allowed; None is plain causal.
        cache: Keys and values that stand before these tokens.

    Returns:
        (B, S, width).
    """
    decoder = model.model
    rotary = decoder.rotary_emb(hidden, position_ids=positions)
    for layer in decoder.layers[first:last]:
        hidden = layer(
            hidden, attention_mask=mask, position_ids=positions, past_key_values=cache, position_embeddings=rotary
        )
    return hidden


def causal_mask(prefix: int, length: int, device: torch.device) -> Tensor | None:
    """(1, 1, length, prefix + length) mask of rows that follow a shared prefix; None where plain causal is the same."""
    if prefix == 0:
        return None
    return torch.ones(length, prefix + length, dtype=torch.bool, device=device).tril(diagonal=prefix)[None, None]


def common_prefix(rows: Sequence[list[int]]) -> int:
    """Number of leading tokens that all rows share, leaving every row at least one token of its own."""
    shortest, longest = min(rows), max(rows)  # lexicographic extremes differ first where any two rows do
    limit = min(len(row) for row in rows) - 1
    same = 0
    while same < limit and shortest[same] == longest[same]:
        same += 1
    return same
