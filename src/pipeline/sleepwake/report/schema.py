"""``report.json`` of the flow ``sleepwake``, schema version 1: the contract that other programs read.

Recall is the share of facts whose whole value a model answers greedily from its weights alone. Facts are under test
keys (``episodes.part``), each told once, on a day before the first sleep; cycles are counted from 0.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.report.base import Part, RunReport

Share = Annotated[float, Field(ge=0, le=1)]


class ByteLm(Part):
    """Nats a byte before any sleep: of validation text, of test text, and of validation text with the memory."""

    nats: float
    nats_test: float
    nats_memory: float


class Patcher(Part):
    """Patches of held-out text: threshold in nats, mean bytes, mean entropy, share of starts of words that begin one.

    ``size_histogram`` counts patches of 0, 1, … bytes, the last one all longer; ``entropy_histogram`` counts bytes in
    32 bins from 0 to 5.6 nats.
    """

    threshold: float
    mean_patch: float
    entropy_mean: float
    at_spaces: Share
    size_histogram: tuple[int, ...]
    entropy_histogram: tuple[int, ...]


class Memory(Part):
    """Recall in streams that told a fact farther back than attention sees, with the memory and without it."""

    with_memory: Share
    without: Share
    with_after_sleeps: Share
    gain: float


class Passkey(Part):
    """Share of streams of one length whose one fact, told at the beginning, is answered at the end."""

    with_memory: Share
    without: Share


class Codebook(Part):
    """The visual codebook: share of codes in use."""

    usage: Share


class Svf(Part):
    """Largest absolute difference of a matrix and its scaled decomposition with every scale at one."""

    identity_error: float


class Sleep(Part):
    """The first sleep; ``efficiency`` is the share of selected memories that were wrong before and right after."""

    facts: int
    recall_before: Share
    recall_after: Share
    recall_after_ci95: tuple[Share, Share]
    by_kind: dict[str, Share]
    memories: int
    selected: int
    left: int
    efficiency: Share
    importance_consolidated: float
    teacher_right: Share
    steps: int
    rollbacks: int
    kept_share: Share
    stopped: str
    weight_change: dict[str, float]


class Wake(Part):
    """The days before the first sleep: memories, share of bytes that were events, z-score of the threshold."""

    memories: int
    event_rate: Share
    threshold: float


class Drift(Part):
    """Rise of test nats by the first sleep, as a share (``base``) and in bits a byte, and by all sleeps."""

    base: float
    bits: float
    last: float
    by_cycle: tuple[float, ...]


class Gap(Part):
    """Recall after so many sessions of text: from the weights after a sleep, through the memory without one."""

    with_sleep: Share
    without: Share
    gain: float
    interval: tuple[float, float]


class Unseen(Part):
    """Keys never told: mean probability of the answer, that of told keys, share answered by another's value."""

    confidence: Share
    confidence_told: Share
    answers_of_others: Share


class SleepWakeReport(RunReport):
    """What the weights learned from the memory, what they forgot, and what it would have been without a sleep."""

    schema_version: Literal[1] = 1
    parameters: int
    byte_lm: ByteLm
    patcher: Patcher
    memory: Memory
    passkey: dict[str, Passkey] = Field({})  # by bytes of a stream
    codebook: Codebook | None = None  # of runs that train one
    svf: Svf
    wake: Wake
    sleep: Sleep
    retention: dict[str, Share]  # of the first sleep's facts, by cycles that passed since
    own_recall: dict[str, Share]  # by cycle: its own facts right after its sleep
    drift: Drift
    gap: dict[str, Gap]  # by sessions
    interference: dict[str, Share]  # ``latest`` and ``intrusions``, of keys whose value a later day changed
    unseen: Unseen
    arithmetic: dict[str, dict[str, dict[str, Share]]]  # by model, level and operation; held-out expressions
    controls: dict[str, dict[str, Any]]
    parts: dict[str, dict[str, float]]  # of every component that was asked for, see `pipeline.sleepwake.parts`
    cycles: tuple[dict[str, Any], ...]  # how each later sleep went


MEASURED = (
    "byte_lm",
    "passkey",
    "svf",
    "retention",
    "own_recall",
    "drift",
    "gap",
    "interference",
    "unseen",
    "arithmetic",
)
"""Figures that stage ``evaluate`` hands on as they are."""
