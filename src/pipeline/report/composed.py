"""The parts of ``report.json`` about relations and places: one fact at a time, and several put together."""

from __future__ import annotations

from pydantic import Field

from pipeline.report.base import Part

Share = float
Interval = tuple[float, float]


class MeanFigure(Part):
    """A mean over n questions."""

    mean: float
    ci95: Interval | None
    n: int


class UnseenPairs(Part):
    """Questions about pairs of places that no training form names together; ``majority`` is a guesser's share."""

    em: Share  # asked at once
    ci95: Interval | None = None
    n: int
    majority: Share
    before: Share | None = None
    before_ci95: Interval | None = None
    memory_on: Share | None = None
    two_step: MeanFigure | None = None  # the same pairs, asked in steps
    two_step_prior: MeanFigure | None = None  # by the base
    hops: MeanFigure | None = None  # the single questions on the way


class Spatial(Part):
    """EM after the night, memory off, test forms; ``n`` counts the rows behind each."""

    next: Share | None = None
    direction: Share | None = None
    n: dict[str, int]
    unseen_pairs: dict[str, UnseenPairs] = Field(default_factory=dict)


class Relational(Part):
    """EM of held-out questions about relations, memory off; ``n`` counts the questions of each kind.

    ``ci95`` and ``prior`` go by the same names; the latter is the base's, asked the same way.
    """

    one_hop: Share | None = None  # relations stated once
    join: Share | None = None  # over several hops, never trained
    two_step: Share | None = None  # the same, asked hop by hop: what the model says goes into its next question
    two_step_one_prompt: Share | None = None  # the same, with the steps between in one answer
    newest: Share | None = None  # relations that were corrected
    n: dict[str, int]
    ci95: dict[str, Interval] | None = None
    prior: dict[str, MeanFigure] | None = None
    hops: MeanFigure | None = None  # the single questions of two_step
