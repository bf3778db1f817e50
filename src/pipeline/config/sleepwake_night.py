"""Settings of days and nights of a byte model: what is told, what becomes a memory, what is kept, how it sleeps."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.config.section import Section
from pipeline.config.sleepwake import OptimizerKind, StreamConfig, SurpriseConfig


class EpisodesConfig(Section):
    """What the days tell."""

    cycles: int = Field(5, ge=1, description="days, each of which ends in a sleep")
    facts: int = Field(128, ge=1, description="facts that each day tells")
    guard_facts: int = Field(32, ge=1, description="further facts a day, under validation keys: what guards look at")
    examined: int = Field(8, ge=0, description="facts of each kind of examination, and of each gap")
    part: Literal["validation", "test"] = Field("test", description="of the keys; validation is for choosing settings")
    per_stream: int = Field(8, ge=1, description="facts that a stream of the day tells")
    length: int = Field(512, ge=64, description="bytes of a stream, most of them text")


class SurprisesConfig(SurpriseConfig):
    """Which surprises become memories."""

    rate: float = Field(0.07, gt=0, lt=1, description="share of bytes that should be events")
    least_events: int = Field(2, ge=1, description="events of a line that make it a memory")
    cut: float = Field(
        0.5,
        ge=0,
        le=1,
        description="the target begins at the first event behind its context with this share of the line's largest z",
    )
    least_context: int = Field(2, ge=1, description="bytes of a line before its target, its question")
    most_bytes: int = Field(48, ge=4, description="bytes of a memory, context and target together")
    calibration: int = Field(16, ge=0, description="streams of training facts read before the first day")


class SurpriseStoreConfig(Section):
    """The episodic store that sleep reads."""

    capacity: int = Field(2048, ge=1, description="slots; the least important give way")
    surprise_weight: float = Field(1.0, ge=0, description="of a slot's z-score in its importance")
    usage_weight: float = Field(0.5, ge=0, description="of the logarithm of 1 + its uses")
    recency_weight: float = Field(0.5, ge=0, description="of 1 over 1 + cycles since it was last used")
    decay: float = Field(0.95, gt=0, le=1, description="of every importance a cycle")
    prune_usage: int = Field(5, ge=0, description="pruned are slots used less than this …")
    prune_age: int = Field(1000, ge=1, description="… and older than this many cycles")
    cues: bool = Field(
        True,
        description="verified slots leave their context behind, without key and target, for rehearsal by the weights",
    )
    consolidation_quantile: float = Field(
        0.7, ge=0, lt=1, description="sleep takes slots whose importance is at or above this quantile"
    )


class SleepConfig(Section):
    """A sleep: what was surprising is learned by the weights, what was known is kept."""

    first_cycle: int = Field(0, ge=0, description="days that pass without a sleep before the first one")
    steps: int = Field(200, ge=1, description="optimiser steps at most")
    first_factor: float = Field(
        1.0, ge=1, description="times as many steps for the first sleep, which learns what a fact is as well"
    )
    memory_rows: int = Field(96, ge=1, description="memories a step, drawn by importance")
    pseudo_rows: int = Field(8, ge=0, description="sequences a step that the old weights made up, with soft labels")
    text_rows: int = Field(8, ge=0, description="rows of base text a step, with soft labels")
    text_length: int = Field(128, ge=16, description="bytes of a row of base text")
    text_pool: int = Field(256, ge=1, description="rows of base text that are labelled before a sleep")
    pseudo_pool: int = Field(512, ge=1, description="sequences that the old weights make up before a sleep")
    pseudo_length: int = Field(16, ge=2, description="bytes of each")
    importance_power: float = Field(
        0.5, ge=0, description="memories are drawn in proportion to importance to this power"
    )
    context_weight: float = Field(
        0.15, ge=0, description="of bytes of a memory's context in its loss, by which later sleeps can make them up"
    )
    consolidation_strength: float = Field(0.5, ge=0, description="of the divergence from the teacher's soft labels")
    cue_rows: int = Field(96, ge=0, description="cues a step, which the old weights continue, with soft labels")
    cue_bytes: int = Field(6, ge=1, description="bytes by which they are continued")
    cue_weight: float = Field(
        12.0, ge=0, description="of the divergence on cues and what the old weights say behind them"
    )
    stream_rows: int = Field(
        2, ge=0, description="streams of training facts a step, read with the memory, with soft labels"
    )
    stream_pool: int = Field(64, ge=1, description="streams that are labelled before a sleep")
    stream: StreamConfig = Field(StreamConfig(), description="their shape")
    stream_weight: float = Field(
        12.0, ge=0, description="of the divergence on streams, by which the weights keep reading the memory"
    )
    pseudo_weight: float = Field(1.0, ge=0, description="of the divergence on sequences that the old weights made up")
    text_weight: float = Field(12.0, ge=0, description="of the divergence on base text")
    text_truth: float = Field(
        0.0, ge=0, lt=1, description="share of the text's own byte in its labels, by which base text is learned on"
    )
    ewc: float = Field(
        100.0, ge=0, description="of the squared distance to the weights before, each by its Fisher information of text"
    )
    ewc_rows: int = Field(32, ge=1, description="rows of text by which it is measured")
    l2sp: float = Field(0.0, ge=0, description="of the squared distance to the weights before the sleep")
    optimizer: OptimizerKind = Field(
        "adamw", description="muon: matrices of layers without a bias by Muon, in steps as large as AdamW's"
    )
    lr: float = Field(4e-3, gt=0, description="at the start")
    lr_min: float = Field(1e-4, gt=0, description="lower bound of the rate control")
    lr_max: float = Field(8e-3, gt=0, description="upper bound of the rate control")
    control: bool = Field(False, description="whether the rate follows the relative change of the loss between probes")
    warmup: int = Field(10, ge=0, description="steps of linear rise")
    weight_decay: float = Field(0.0, ge=0, description="of matrices")
    clip: float = Field(1.0, gt=0, description="largest norm of all gradients together")
    probe_every: int = Field(25, ge=1, description="steps between probes of every memory and of base text")
    probes: int = Field(2, ge=1, description="probes in succession that a memory must pass to leave the store")
    probe_bytes: int = Field(16384, ge=256, description="bytes of validation text of a probe of drift")
    drift_max: float = Field(0.01, gt=0, description="rise of base nats, as a share, with which a sleep may end")
    transient_max: float = Field(
        0.1, gt=0, description="rise while it lasts above which weights are rolled back at once"
    )
    rollbacks: int = Field(3, ge=0, description="roll-backs after which a sleep ends")
    trained: Literal["all", "feed_forward", "later_blocks"] = Field(
        "later_blocks",
        description="weights that a sleep may change: all, feed-forward networks, or blocks from the memory's on, and "
        "so not what makes the memory's keys and values",
    )
    offload: bool = Field(
        False, description="the labels, and the teacher that has given them, wait in main memory and not on the GPU"
    )

    @model_validator(mode="after")
    def _rates_are_ordered(self) -> Self:
        if not self.lr_min <= self.lr <= self.lr_max:
            raise ValueError(f"lr={self.lr}: expected {self.lr_min} (lr_min) to {self.lr_max} (lr_max)")
        return self
