"""Run decoder layers on packed rows: attention alone pads, and the last layer runs for what predicts something.

In the last layer only tokens that predict something need a query, an output and a feed-forward pass. A CPU attends
block by block. A GPU would spend more time on starting the many small products of padded blocks than on computing
them. There all tokens attend to all under one mask, which depends on nothing but how many there are: `FlatPacking`.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from pipeline.language.attention import grouped_attention
from pipeline.language.packing import FlatPacking, Packing


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
