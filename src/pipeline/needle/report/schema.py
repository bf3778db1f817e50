"""``report.json`` of the flow ``needle``, schema version 1: the contract that other programs read.

Accuracies are shares of right answers to test questions, evaluated without any true value in the memory. Keys of
``by_length`` are tokens of a sequence, those of ``by_load`` needles in it. Where sequences of one split differ in
length, each key of ``by_length`` stands for a quarter of them, and is the length of its longest one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.report.base import Part, RunReport

Share = Annotated[float, Field(ge=0, le=1)]
Cosine = Annotated[float, Field(ge=-1.001, le=1.001)]


class Accuracy(Part):
    """Share of right answers, with its binomial 95 % interval over questions, by length, and by number of needles."""

    test: Share
    ci95: tuple[float, float]
    by_length: dict[str, Share]
    by_load: dict[str, Share]


class Gate(Part):
    """The gate of the contrastive loss over the training; ``lambda_max`` is the largest λ that was used."""

    open_fraction: Share
    lambda_max: float
    opened_epoch: int | None = None


class Cosines(Part):
    """Of written and read values with the true ones, at test questions; raw reads of n pairs have 1/√n at most."""

    write: Cosine | None = None
    read_raw: Cosine
    read_clean: Cosine


class Written(Part):
    """Where the model wrote: precision and recall of needles' positions, and writes a sequence."""

    precision: Share
    recall: Share
    per_sequence: float


class Drop(Part):
    """Validation accuracy of the last epoch against the one before the gate opened, paired over sequences."""

    examples: int
    before: Share
    after: Share
    difference: float
    ci95: tuple[float, float]
    lost: int
    won: int
    p_value: float
    judged: bool
    significant: bool


class Training(Part):
    """What the training was; ``steps_to_90``: first step at which .90 of validation answers were right, None if never.

    Measured every ``train.probe_every`` steps on ``train.probe_size`` sequences and after every epoch on all.
    """

    epochs: int
    steps: int
    parameters: int
    tokens_per_second: float
    steps_to_90: int | None = None
    significant_drops: int
    stopped: str


class Capacity(Part):
    """The memory alone: n random pairs in one bucket."""

    accuracy: Share
    read_cosine: Cosine
    theory: float


class OverSeeds(Part):
    """A figure of the sweep; ``interval`` is Student's at 95 %."""

    mean: float
    interval: tuple[float, float] | None = None
    n: int


class NeedleReport(RunReport):
    """What is recalled, what of it the memory does, and whether the model was promoted."""

    schema_version: Literal[1] = 1
    task: str
    writes: Literal["marked", "learned"]
    questions: int
    chance: Share
    majority: Share | None = None  # share of the commonest answer among test questions
    accuracy: Accuracy
    gate: Gate
    collisions: Share  # share of a sequence's writes to a bucket that it had written before
    cosine: Cosines
    written: Written
    drop: Drop | None = None
    training: Training
    controls: dict[str, Share]
    control_details: dict[str, dict[str, Any]]  # ``seconds`` of this attempt: about 0 of a control kept from one before
    capacity: dict[str, Capacity]
    read_cosine_by_load: dict[str, Cosine]
    sweep: dict[str, dict[str, OverSeeds]]


MEASURED = ("questions", "collisions", "cosine", "written", "capacity", "read_cosine_by_load", "sweep")
"""Figures that stage ``evaluate`` hands on as they are."""
