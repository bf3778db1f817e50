"""Whether a night may be promoted: each guard with its figure, its threshold and its verdict.

Guards read probe questions and the development half of sanity alone. `guard_figures` drops every test row before it
looks at anything, so that no test answer can move a verdict.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypedDict

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.metrics import arm_rows, mean_em
from pipeline.evaluation.sanity import sanity_summary, takeover, taught_phrases
from pipeline.suites.types import Suite

if TYPE_CHECKING:
    from pipeline.config.examination import GuardsConfig


class Verdict(TypedDict):
    """One guard as the report shows it; a figure that was not measured is None and never passes."""

    name: str
    value: float | None
    threshold: float
    passed: bool


_OVER_NIGHTS = ("kl_previous", "retention", "forget", "forget_neighbours")


@dataclass(frozen=True)
class GuardFigures:
    """All that the guards may look at.

    Attributes:
        uplift: post_off_probe EM minus pre_off_probe EM.
        sanity_delta: Change of accuracy over the development half.
        kl_base: Worst domain, nats a token.
        ppl_ratio: Worst domain, post over base.
        takeover: Share of answers to the development half.
        post_on: post_on_probe EM minus memory_on_probe EM.
        refusal_rate: Of post_off_probe.
        retrieval_requests: Queries that the store received this night.
        replay_samples: Samples that replay drew this night.
        kl_previous: KL(previous champion || post), worst domain, nats a token; None for a night that began anew.
        retention: earlier_probe EM minus earlier_probe_before EM; None where there are no earlier facts.
        forget: EM of forgotten answers minus the base's; None for a night that forgets nothing.
        forget_neighbours: Change of EM of what is most like the forgotten.
    """

    uplift: float | None
    sanity_delta: float | None
    kl_base: float | None
    ppl_ratio: float | None
    takeover: float | None
    post_on: float | None
    refusal_rate: float | None
    retrieval_requests: float | None
    replay_samples: float | None
    kl_previous: float | None = None
    retention: float | None = None
    forget: float | None = None
    forget_neighbours: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """The figures by name, for ``metrics.json``; those of continuing nights only where there are any."""
        figures = asdict(self)
        return {name: value for name, value in figures.items() if value is not None or name not in _OVER_NIGHTS}


def guard_figures(
    answers: pa.Table,
    suite: Suite,
    drift: Mapping[str, object] | None,
    retrieval_requests: int,
    replay_samples: int,
    forget: Mapping[str, object] | None = None,
) -> GuardFigures:
    """Compute the figures from rows whose split is not ``test``.

    Args:
        answers: `pipeline.evaluation.answers.ANSWERS_SCHEMA`, any arms.
        suite: For taught names, and taught answers of train and probe questions.
        drift: As `pipeline.evaluation.drift.drift` returns it.
        retrieval_requests: Counted by the store.
        replay_samples: Counted by ``replay_sample``.
        forget: As `pipeline.evaluation.forgetting.forget_figures` returns it, of which test forms do not count.
    """
    seen = answers.filter(pc.field("split") != "test")
    sanity = sanity_summary(seen)
    refusals = arm_rows(seen, "post_off_probe").column("refused").to_pylist()
    return GuardFigures(
        uplift=_minus(mean_em(seen, "post_off_probe"), mean_em(seen, "pre_off_probe")),
        sanity_delta=_number(sanity, "delta"),
        kl_base=_number(drift, "kl_base"),
        ppl_ratio=_number(drift, "ppl_ratio"),
        takeover=takeover(seen, taught_phrases(suite.taught, ("train", "probe"))),
        post_on=_minus(mean_em(seen, "post_on_probe"), mean_em(seen, "memory_on_probe")),
        refusal_rate=sum(refusals) / len(refusals) if refusals else None,
        retrieval_requests=float(retrieval_requests),
        replay_samples=float(replay_samples),
        kl_previous=_number(drift, "kl_previous"),
        retention=_minus(mean_em(seen, "earlier_probe"), mean_em(seen, "earlier_probe_before")),
        forget=_minus(_number(forget, "seen_target"), _number(forget, "seen_prior")),
        forget_neighbours=_number(forget, "neighbours"),
    )


def _minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _number(figures: Mapping[str, object] | None, name: str) -> float | None:
    value = (figures or {}).get(name)
    return float(value) if isinstance(value, int | float) else None


_AT_LEAST: Callable[[float, float], bool] = operator.ge
_AT_MOST: Callable[[float, float], bool] = operator.le
_ROUNDING = 1e-9  # .95 - .97 is -.0200…018: a figure on the threshold passes

AT_MOST = ("drift.kl_base", "drift.ppl_ratio", "drift.kl_previous", "takeover", "refusal_rate", "forget")
"""Guards whose figure must not be above the threshold; all others must not be below it."""


def verdicts(figures: GuardFigures, config: GuardsConfig) -> list[Verdict]:
    """Judge every figure; the night is promoted only if all pass."""
    goes_on = figures.kl_previous is not None
    rules: list[tuple[str, float | None, float]] = [
        ("uplift", figures.uplift, config.uplift_min),
        ("sanity.delta", figures.sanity_delta, config.sanity_delta_min),
        ("drift.kl_base", figures.kl_base, config.kl_max),
        ("drift.ppl_ratio", figures.ppl_ratio, config.ppl_ratio_later_max if goes_on else config.ppl_ratio_max),
        ("takeover", figures.takeover, config.takeover_max),
        ("post_on", figures.post_on, 0.0 - config.post_on_margin),
        ("refusal_rate", figures.refusal_rate, config.refusal_max),
        ("retrieval.requests", figures.retrieval_requests, config.retrieval_min),
        ("replay.samples", figures.replay_samples, config.replay_min),
    ]
    over_nights = [
        ("drift.kl_previous", figures.kl_previous, config.kl_previous_max),
        ("retention", figures.retention, config.retention_min),
        ("forget", figures.forget, config.forget_max),
        ("forget.neighbours", figures.forget_neighbours, config.retention_min),
    ]
    rules += [rule for rule in over_nights if rule[1] is not None]
    return [_verdict(name, value, float(threshold)) for name, value, threshold in rules]


def _verdict(name: str, value: float | None, threshold: float) -> Verdict:
    if value is None:
        return Verdict(name=name, value=None, threshold=threshold, passed=False)
    slack = -_ROUNDING if name in AT_MOST else _ROUNDING
    passed = (_AT_MOST if name in AT_MOST else _AT_LEAST)(value + slack, threshold)
    return Verdict(name=name, value=value, threshold=threshold, passed=bool(passed))


def all_passed(judged: list[Verdict]) -> bool:
    """Whether the night may be promoted; an empty list never is."""
    return bool(judged) and all(verdict["passed"] for verdict in judged)
