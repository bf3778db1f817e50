"""``report.json``, schema version 1: the contract that other programs read.

Arms, and other figures, that were not measured are absent, never zero. NaN is refused.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pipeline.report.base import Identity as Identity  # part of this contract, and named with it
from pipeline.report.base import Part, RunReport, present
from pipeline.report.composed import Interval, MeanFigure, Relational, Share, Spatial


class Cell(Part):
    """EM of one form or relation."""

    em: float
    n: int
    jaccard: float | None = None  # largest token overlap of a test form with a train or probe form


class ArmFigures(Part):
    """One arm; names as in `pipeline.evaluation.arms.ARMS`."""

    em: Share
    em_ci95: Interval | None
    f1: Share
    contains: Share
    n: int
    refusal_rate: Share
    overlong_rate: Share
    by_form: dict[str, Cell]
    by_relation: dict[str, Cell]


class Prior(Part):
    """What somebody who knows no fact would score."""

    value: Share
    by_relation: dict[str, Share]
    source: str


class Uplift(Part):
    """post_off_heldout minus the best control."""

    em: float
    em_ci95: Interval | None
    control: str


class SanityFigures(Part):
    """Accuracy on general questions; ``kept`` is None where the base had none right."""

    pre: Share
    post: Share
    delta: float
    kept: Share | None
    n: int


class Sanity(SanityFigures):
    """All general questions, and each panel and half."""

    by_panel: dict[str, SanityFigures]
    by_half: dict[str, SanityFigures] = Field(default_factory=dict)


class Hallucination(Part):
    """Share of untaught questions answered with some taught answer."""

    pre: Share | None = None
    post: Share | None = None


class Drift(Part):
    """The worst domain and each of them; KL(base || post) in nats a token."""

    kl_base: float
    kl_by_domain: dict[str, float]
    ppl_ratio: float
    ppl_by_domain: dict[str, float] = Field(default_factory=dict)
    kl_previous: float | None = None  # against the adapter that a continuing night went on from
    tokens: int


class BeforeAndAfter(Part):
    """A share of n questions of base and adapted model; the interval is of the latter."""

    pre: Share
    post: Share
    ci95: Interval | None
    n: int


class UsableFigure(Part):
    """A share after the night over n questions, test forms, memory off; ``prior`` is the base's over ``prior_n``."""

    value: Share
    ci95: Interval | None
    n: int
    prior: Share | None = None
    prior_n: int = 0
    by_gold: dict[str, Share] = Field(default_factory=dict)  # where yes is right, and where no is


class Usable(Part):
    """What one can do with taught facts beyond asking for them as they were taught."""

    yes_no: UsableFigure | None = None  # claims verified, half of them false
    reversed: UsableFigure | None = None  # from the answer to its subject
    implied: UsableFigure | None = None  # what follows from one fact
    tell_recall: UsableFigure | None = None  # share of a fact's slots that a free text names
    tell_contradicted: UsableFigure | None = None  # and that it gets wrong


class LongAnswers(Part):
    """Figures of answers that are sentences, with how many each is a mean of."""

    rouge_l: dict[str, MeanFigure]  # recall, by arm
    paraphrase_preferred: BeforeAndAfter | None = None


class Lora(Part):
    """What was trained."""

    config_hash: str
    rank: int
    alpha: float
    targets: tuple[str, ...]
    steps: int
    examples: int
    tokens: int
    loss_first: float  # nats a token
    loss_last: float
    b_norm: float


class GapClosed(Part):
    """How much of what the right passage in the prompt is worth the night brought with the prompt empty.

    ``share`` is (post - pre) / (oracle - pre), on the questions that all three arms were asked; it is absent where the
    passage is worth nothing. ``untaught`` is the gain on passages that were never taught, in the same units.
    """

    pre: Share
    post: Share
    oracle: Share
    share: float | None = None
    untaught: float | None = None
    n: int


class Written(Part):
    """What a generator was asked to write, and what was kept of it; ``dropped`` counts by reason."""

    asked: int
    kept: int
    dropped: dict[str, int] = Field(default_factory=dict)


class Study(Part):
    """What the sleeper wrote about texts without questions, and what was made of them by rule."""

    generator: str  # digest of its weights
    passages: int
    questions: Written
    rewrites: Written
    implications: Written
    by_rule: dict[str, int]


class SlowAverage(Part):
    """The average of the adapters of many nights, asked what the night's own adapter is asked, memory off.

    ``retention`` is its row of the retention matrix, EM on test forms by the night that taught; ``mean`` is over
    nights, and ``fast_mean`` the same of the night's own adapter.
    """

    decay: float
    retention: dict[str, Share]
    mean: Share
    fast_mean: Share


class SuiteFigures(Part):
    """What a suite allows, and what the gate made of it."""

    ceiling: Share
    prior: Share
    n: int
    accepted: int
    refused: int


TELEMETRY = (
    "retrieval.requests",
    "retrieval.hits",
    "gates.attempts",
    "gates.accepts",
    "replay.samples",
    "replay.distinct",
    "store.size",
    "refusal_rate",
)


class Forget(Part):
    """What a night unlearned; figures alone, the text stands nowhere. EM is of every form, prefixed ones included.

    ``seen_target`` and ``seen_prior`` leave out test forms; the guard reads those two.
    """

    target: Share
    prior: Share  # the base, same questions
    seen_target: Share
    seen_prior: Share
    reversed: Share | None = None  # EM of the subject, asked with the answer
    reversed_prior: Share | None = None
    neighbours: float | None = None  # change of EM of the facts most like it, from the adapter before
    auroc: Share | None = None  # of the forgotten answer's log-probability against never-seen answers; .5 is ideal
    auroc_prior: Share | None = None  # the base's
    refusals: float | None = None  # change of the share, against the base
    n: int
    questions: int


class Recognition(Part):
    """How often a taught answer is likelier than an untaught one, each after its own question, memory off."""

    auroc: Share
    ci95: Interval
    prior: Share  # the base's
    n: int
    untaught_n: int


class Report(RunReport):
    """A night: what was measured, what it cost, and whether it was promoted."""

    schema_version: Literal[1] = 1
    arms: dict[str, ArmFigures]
    prior: Prior | None = None
    uplift: Uplift | None = None
    sanity: Sanity | None = None
    takeover: Share | None = None
    hallucination: Hallucination | None = None
    pinned_and_rewarded: dict[str, UsableFigure] | None = None  # held out: either, pinned, rewarded
    drift: Drift | None = None
    retention: dict[str, dict[str, Share]] | None = None  # R[i, j]: EM after night i on test forms of night j
    backward_transfer: float | None = None
    slow: SlowAverage | None = None
    forget: Forget | None = None
    recognition: Recognition | None = None
    relational: Relational | None = None
    rouge_l: Share | None = None  # of taught questions, after; LongAnswers has the rest
    paraphrase_preferred: Share | None = None
    long_answers: LongAnswers | None = None
    world_facts: SanityFigures | None = None
    spatial: Spatial | None = None
    usable: Usable | None = None
    gap_closed: float | None = None  # the share of `gap` in `contains`
    gap: dict[str, GapClosed] | None = None
    study: Study | None = None
    telemetry: dict[str, float]
    lora: Lora | None = None
    suites: dict[str, SuiteFigures]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; what was not measured is left out (a guard keeps its ``value: null``)."""
        plain = super().to_json()
        for name in ("hallucination", "long_answers", "forget", "recognition"):
            if name in plain:
                plain[name] = present(plain[name])
        for part in ("relational", "spatial"):
            if (told := getattr(self, part)) is not None:
                plain[part] = told.model_dump(mode="json", exclude_none=True)
        for name in ("usable", "pinned_and_rewarded"):
            if name in plain:
                plain[name] = {part: present(figure) for part, figure in present(plain[name]).items()}
        for arm in plain["arms"].values():
            arm["by_form"] = {form: present(cell) for form, cell in arm["by_form"].items()}
            arm["by_relation"] = {relation: present(cell) for relation, cell in arm["by_relation"].items()}
        return plain
