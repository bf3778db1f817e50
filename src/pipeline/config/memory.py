"""Settings of the hippocampal side: suite, encoder, write gate, store and replay."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.config.section import FilePath, Section


class SuiteConfig(Section):
    """What is taught and asked."""

    name: str = Field("episodic", description="a registered suite: episodic, facts, relational, mixed, …")
    n: int = Field(50, ge=1, description="taught facts; chains of facts in suite relational; sizes share prefixes")
    skip: int = Field(0, ge=0, description="facts of a generated suite that come before the first one taught")
    offset: int = Field(0, ge=0, description="passages of suite documents that are passed over at the file's start")
    seed: int | None = Field(None, ge=0, description="seed of the generator; null takes the run's seed")
    profile: Literal["easy", "default", "hard"] = Field(
        "default", description="distractor events per fact in the same wake session: 0, 2 or 4"
    )
    contradictions: float = Field(
        0.3, ge=0, le=1, description="share of relational chains with a statement that a later one corrects; in tenths"
    )
    shares: dict[str, float] = Field(
        {}, description="suites that suite mixed is made of, with their shares of the facts"
    )
    path: FilePath | None = Field(
        None, description="file of the user's own facts or documents (JSON lines); data in place of the public one"
    )
    authors: int | str = Field(
        20, description="authors of suite tofu: the first so many of 160, or a range such as 21-30; the bar is on 1-20"
    )
    test_forms: FilePath | None = Field(None, description="file whose test forms replace the suite's own")

    @model_validator(mode="after")
    def _authors_are_some(self) -> Self:
        if isinstance(self.authors, str) and not re.fullmatch(r"\d{1,6}-\d{1,6}", self.authors):
            raise ValueError(f"authors: expected a number or a range such as 21-30, found {self.authors!r}")
        if not self.author_range or self.author_range.start < 1:
            raise ValueError(f"authors: expected at least one author, counted from 1, found {self.authors!r}")
        return self

    @property
    def author_range(self) -> range:
        """The authors that ``authors`` means, counted from 1."""
        if isinstance(self.authors, int):
            return range(1, self.authors + 1)
        first, last = map(int, self.authors.split("-"))
        return range(first, last + 1)


class NightsConfig(Section):
    """Many nights in one go."""

    count: int = Field(8, ge=1, description="nights")
    facts: int = Field(50, ge=1, description="facts taught by each, of a generated suite")


class EncoderConfig(Section):
    """The sentence encoder whose vectors are the store's keys."""

    name: str = Field("embedded", description="`embedded` (all-MiniLM-L6-v2 from pip), a local folder, or a hub id")
    batch_size: int = Field(32, ge=1, description="sentences per forward pass")


class SpatialGateConfig(Section):
    """Write gate of walks: S = novelty·n + surprise·s + reward·r + pin·p, written when S > threshold."""

    novelty: float = Field(
        1.0, ge=0, description="weight of what the map lacks: largest share of places or passages; a new route is half"
    )
    surprise: float = Field(0.5, ge=0, description="weight of an unexpected time, direction or failure, 0..1")
    reward: float = Field(0.5, ge=0, description="weight of reward, 0 or 1")
    pin: float = Field(1.0, ge=0, description="weight of pin, 0 or 1")
    tolerance: float = Field(
        0.5, gt=0, description="relative deviation from the learned time at which surprise is 1 − 1/e"
    )
    threshold: float = Field(
        0.3,
        ge=0,
        description="score that a walk must exceed; a known walk that takes half as long again just does",
    )


class RelationalGateConfig(Section):
    """Write gate of relations: weighted parts in 0..1, plus gate.gamma·reward + gate.delta·pin, above the threshold.

    With these weights a sure, new, current statement passes, a repeated or outdated one does not, and a doubtful one
    does when it joins what is known (pipeline.stores.relational_gate).
    """

    confidence: float = Field(0.3, ge=0, description="weight of the stated confidence")
    novelty: float = Field(0.3, ge=0, description="weight of novelty, 0 for what the newest valid statement says")
    degree: float = Field(0.1, ge=0, description="weight of d / (1 + d) for d known relations at either end")
    recency: float = Field(0.3, ge=0, description="weight of recency, 0 for what a newer statement has overtaken")
    threshold: float = Field(0.7, ge=0, description="score that a relation must exceed, in units of S")


class GateConfig(Section):
    """Write gate: S = alpha·surprise + beta·novelty + gamma·reward + delta·pin, written when S > threshold."""

    alpha: float = Field(0.5, ge=0, description="weight of surprise, normalised to 0..1")
    beta: float = Field(0.5, ge=0, description="weight of novelty, 1 − largest similarity to what is stored")
    gamma: float = Field(1.0, ge=0, description="weight of reward, 0 or 1")
    delta: float = Field(1.0, ge=0, description="weight of pin, 0 or 1")
    threshold: float = Field(
        0.78, ge=0, description="score that an experience must exceed, in units of S; above alpha and above beta alone"
    )
    surprise_reference: float = Field(
        3.6, description="nats per word at which surprise is one half; measured, see pipeline.stores.gate"
    )
    surprise_scale: float = Field(0.1, gt=0, description="width of the logistic squashing of surprise, nats per word")
    enforce: bool = Field(False, description="refuse what fails the gate; false records the verdict and keeps the row")
    random: bool = Field(
        False, description="a control of experiments: with enforce, keep as many as the gate would, drawn at random"
    )
    spatial: SpatialGateConfig = Field(SpatialGateConfig(), description="the gate of walks")
    relational: RelationalGateConfig = Field(RelationalGateConfig(), description="the gate of relations")

    @model_validator(mode="after")
    def _random_refuses(self) -> Self:
        if self.random and not self.enforce:
            raise ValueError(
                "random: a gate that refuses nothing cannot choose at random; set gate.enforce=true as well"
            )
        return self


class StoreConfig(Section):
    """The episodic store: sparse code, pattern completion, decay."""

    expansion: int = Field(4096, ge=1, description="units of the sparse code; expansion as in Dasgupta et al. 2017")
    active: int = Field(128, ge=1, description="winners per code (k of k-winners-take-all); 3 % of 4096")
    candidates: int = Field(
        1024, ge=1, description="episodes that the sparse key nominates for exact ranking; all of a smaller store"
    )
    projection_seed: int = Field(
        0, ge=0, description="seed of the random expansion; one for all stores, so keys compare"
    )
    hopfield_beta: float = Field(32.0, gt=0, description="inverse temperature of completion, Ramsauer et al. 2021")
    half_life_nights: float = Field(
        30.0, gt=0, description="nights in which the salience of an unpinned episode halves"
    )
    prune_below: float = Field(0.05, ge=0, le=1, description="salience under which an unpinned episode is pruned")
    max_items: int = Field(100_000, ge=1, description="episodes kept; the least salient go first")
    count_recalls: bool = Field(
        True, description="whether what `engram ask` recalls counts as usage from the next night"
    )
    hops: int = Field(3, ge=1, description="relations on a recalled path at most: thing to store to city to country")

    @model_validator(mode="after")
    def _winners_fit(self) -> Self:
        if self.active > self.expansion:
            raise ValueError(f"active ({self.active}) must not exceed expansion ({self.expansion})")
        return self


class ReplayWeights(Section):
    """Parts of the replay priority."""

    salience: float = Field(0.5, ge=0, description="share of salience, from the gate's score")
    usage: float = Field(0.3, ge=0, description="share of usage, raised by retrieval")
    novelty: float = Field(0.2, ge=0, description="share of novelty at write time")


class ReplayMix(Section):
    """Shares of the replay budget per kind of store; kinds that hold nothing give theirs to the others."""

    episodic: float = Field(0.6, ge=0, le=1, description="share of episodes")
    relational: float = Field(0.3, ge=0, le=1, description="share of relations")
    spatial: float = Field(0.1, ge=0, le=1, description="share of places and routes")


class ReplayConfig(Section):
    """Which experiences sleep replays."""

    policy: str = Field(
        "priority", description="uniform, priority, spaced (expanding intervals) or loss (known worst first)"
    )
    weights: ReplayWeights = Field(ReplayWeights(), description="parts of the priority")
    mix: ReplayMix = Field(ReplayMix(), description="shares per kind of store")
    cycles: int = Field(1, ge=1, description="passes through the sampler in one night")
    max_items: int = Field(1000, ge=1, description="items replayed in one night at most, over all cycles")
    known_items: int | None = Field(
        None, ge=0, description="facts of earlier nights replayed in one night at most; null is all, 0 none"
    )
    noise_level: float = Field(
        0.0, ge=0, le=1, description="standard deviation of the jitter of log weights, drawn with the seed"
    )
