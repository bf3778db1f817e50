"""Settings of a byte model that consolidates its surprises: model, training, patches, associative memory, adapters."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.config.section import Section

OptimizerKind = Literal["adamw", "muon"]


class ByteModelConfig(Section):
    """A causal transformer over bytes; the defaults are 0.83 M parameters."""

    width: int = Field(128, ge=8, description="of the residual stream")
    layers: int = Field(4, ge=1, description="blocks of attention and a feed-forward network")
    heads: int = Field(4, ge=1, description="of attention; width / heads is even, for rotary positions")
    hidden: int = Field(512, ge=8, description="width of the feed-forward networks")
    context: int = Field(256, ge=8, description="bytes that one pass sees, the mark of the beginning included")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of embeddings, and of what blocks add, that pre-training leaves out"
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(f"width={self.width}: expected a multiple of 2 heads={2 * self.heads}")
        return self


class TitansConfig(Section):
    """An associative memory of one sequence that learns while it reads (Behrouz et al. 2025, arXiv:2501.00663)."""

    dimension: int = Field(32, ge=2, description="of keys, values and queries; the memory is a square matrix")
    chunk: int = Field(16, ge=1, description="positions that are computed together")
    gradients: Literal["chunk", "exact"] = Field(
        "chunk", description="chunk: taken at the memory as it was at its chunk's start; exact: at the one just before"
    )
    library: Literal["engram", "titans-pytorch"] = Field(
        "engram",
        description="whose code computes it, to the same figures; titans-pytorch keeps a matrix for every position and "
        "takes exact gradients one position at a time: for GPUs and short chunks",
    )
    momentum: float = Field(
        0.9, ge=0, lt=1, description="eta of a fresh memory; it depends on the input and is learned"
    )
    step: float = Field(0.1, gt=0, lt=1, description="theta of a fresh memory, likewise")
    forget: float = Field(0.01, gt=0, lt=1, description="alpha of a fresh memory, likewise")


class SleepWakeModelConfig(ByteModelConfig):
    """A byte transformer whose attention sees a window, and a memory that sees the whole sequence."""

    window: int = Field(64, ge=2, description="bytes that attention sees, the position itself included")
    persistent: int = Field(4, ge=0, description="learned keys and values of every attention, seen by every position")
    memory_block: int = Field(1, ge=0, description="block before which the memory is read, from 0")
    convolution: int = Field(8, ge=1, description="positions whose states make a key of the memory; 1 is its own alone")
    titans: TitansConfig = Field(
        TitansConfig(dimension=128, chunk=32, gradients="exact", momentum=0.0, step=0.3, forget=0.002),
        description="the memory of one sequence",
    )

    @model_validator(mode="after")
    def _the_block_exists(self) -> Self:
        if self.memory_block >= self.layers:
            raise ValueError(f"memory_block={self.memory_block}: expected less than layers={self.layers}")
        return self


class ByteTrainConfig(Section):
    """AdamW under a cosine; beta and decay as in nanoGPT's small character models."""

    steps: int = Field(1000, ge=1, description="optimiser steps")
    batch: int = Field(8, ge=1, description="windows of text a step, each as long as the model's context")
    lr: float = Field(2e-3, gt=0, description="highest learning rate, reached after the warm-up")
    lr_min_share: float = Field(0.05, ge=0, le=1, description="share of lr that is left at the end of the cosine")
    warmup: int = Field(50, ge=0, description="steps of linear rise")
    optimizer: OptimizerKind = Field(
        "adamw", description="muon: matrices of layers without a bias by Muon, in steps as large as AdamW's"
    )
    weight_decay: float = Field(0.1, ge=0, description="of matrices; norms have none")
    clip: float = Field(1.0, gt=0, description="largest norm of all gradients together")


class StreamConfig(Section):
    """Sequences that tell facts early and ask them late."""

    length: int = Field(512, ge=64, description="bytes of a stream")
    facts: int = Field(8, ge=1, description="facts that a stream tells")
    asked: int = Field(6, ge=1, description="of them, how many it asks")

    @model_validator(mode="after")
    def _facts_fit_into_the_length(self) -> Self:
        if self.asked > self.facts:
            raise ValueError(f"asked={self.asked}: expected at most facts={self.facts}")
        needed = 15 * self.facts + 14 * self.asked + 1
        if needed > self.length:
            raise ValueError(f"length={self.length}: {self.facts + self.asked} lines of facts need {needed}")
        return self


class PretrainConfig(ByteTrainConfig):
    """What the byte model learns before its first day."""

    steps: int = Field(650, ge=1, description="optimiser steps")
    batch: int = Field(4, ge=1, description="windows of text a step")
    text_length: int = Field(128, ge=16, description="bytes of a row of text, arithmetic or single facts")
    arithmetic_rows: int = Field(1, ge=0, description="rows of arithmetic a step")
    arithmetic_levels: tuple[Literal["basic", "medium", "advanced"], ...] = Field(
        ("basic",), min_length=1, description="sizes of operands"
    )
    arithmetic_problems: int = Field(800, ge=1, description="different problems of each level that are learned from")
    fact_rows: int = Field(1, ge=0, description="rows of single facts a step, which teach their form alone")
    streams: int = Field(3, ge=0, description="streams a step, read with the memory; 0 trains none")
    stream: StreamConfig = Field(StreamConfig(), description="their shape")
    stream_weight: float = Field(2.0, gt=0, description="of the loss of streams, where text has 1")
    near_share: float = Field(0.7, ge=0, le=1, description="share of streams that may ask soon after they told")
    scattered_below: float = Field(
        0.5,
        ge=0,
        description="nats of answers, averaged over some 20 steps, below which these streams tell each fact at a place "
        "of its own, a line between text, as days do; 0 never",
    )
    answer_weight: float = Field(4.0, gt=0, description="of bytes of asked answers, where text has 1")
    told_weight: float = Field(0.1, ge=0, description="of bytes of told values, which nothing foretells")


class PatchConfig(Section):
    """Where patches of bytes begin (Byte Latent Transformer, Pagnoni et al. 2024, arXiv:2412.09871)."""

    rule: Literal["global", "monotonic"] = Field(
        "global", description="global: entropy above the threshold; monotonic: its rise from the byte before above it"
    )
    target: float = Field(4.5, ge=1, description="bytes of a mean patch, by which the threshold is fitted")
    min_patch: int = Field(1, ge=1, description="bytes of a patch at least, a sequence's last one excepted")
    max_patch: int = Field(32, ge=1, description="bytes of a patch at most")

    @model_validator(mode="after")
    def _the_target_can_be_reached(self) -> Self:
        if not self.min_patch <= self.target <= self.max_patch:
            raise ValueError(
                f"target={self.target}: expected {self.min_patch} (min_patch) to {self.max_patch} (max_patch)"
            )
        return self


class SurpriseConfig(Section):
    """Which gradients count as surprises."""

    rate: float = Field(0.05, gt=0, lt=1, description="share of observations that should be events")
    memory: float = Field(0.99, gt=0, lt=1, description="decay of the running mean and variance")
    gain: float = Field(0.05, gt=0, description="step of the threshold an observation, in standard deviations")
    threshold: float = Field(1.645, description="z at the start: the 95th percentile of a normal distribution")


class SvfConfig(Section):
    """Scaling of singular values (Transformer², Sun et al. 2025, arXiv:2501.06252)."""

    keep_sum: bool = Field(
        True, description="whether the sum of singular values is kept, as in the authors' code and not in the paper"
    )


LARGEST_ENTROPY = math.log(256)
"""Nats of a byte at most."""
