"""Floating point operations of a pass, by formula: what "at equal compute" means here.

A multiplication and an addition are two operations. Matrix products and attention count, as `torch.utils.flop_counter`
counts them; norms and look-ups do not. A training step costs three forward passes.
"""

from __future__ import annotations

from pipeline.config.sleepwake import ByteModelConfig

TRAINING = 3
"""Forward passes that a forward and a backward pass cost."""


def attention_flops(queries: int, keys: int, width: int) -> int:
    """Of softmax(Q Kᵀ) V for matrices of queries, keys and values of one width; masks save nothing."""
    return 4 * queries * keys * width


def linear_flops(rows: int, inputs: int, outputs: int) -> int:
    """Of a product of (rows, inputs) with (inputs, outputs)."""
    return 2 * rows * inputs * outputs


def block_flops(sizes: ByteModelConfig, length: int) -> int:
    """Of one block of `byte_model` over a sequence."""
    dense = 4 * linear_flops(length, sizes.width, sizes.width) + 2 * linear_flops(length, sizes.width, sizes.hidden)
    return dense + attention_flops(length, length, sizes.width)


def transformer_flops(sizes: ByteModelConfig, length: int, vocabulary: int) -> int:
    """Of a forward pass of one sequence through all blocks and the output."""
    return sizes.layers * block_flops(sizes, length) + linear_flops(length, sizes.width, vocabulary)
