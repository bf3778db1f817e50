"""From ``answers.parquet`` to the figures of ``metrics.json`` and ``report.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.evaluation.arms import ARMS, GENERAL_ARMS, TWO_STEP_HOP_ARMS
from pipeline.evaluation.bootstrap import difference_interval, mean_interval
from pipeline.evaluation.gap import gap_figures
from pipeline.evaluation.relational import relational_figures
from pipeline.evaluation.sanity import hallucination, sanity_summary, takeover, taught_phrases
from pipeline.evaluation.spatial import spatial_figures
from pipeline.evaluation.usable import usable_figures
from pipeline.suites.types import Suite, SuiteStatistics

UPLIFT_CONTROLS = ("pre_off", "untaught", "format_only", "shuffled_answers")
PRIOR_ARMS = ("untaught", "format_only")

Scored = tuple[NDArray[np.float64], list[str], list[str]]


def arm_rows(answers: pa.Table, *arms: str) -> pa.Table:
    """The rows of some arms."""
    return answers.filter(pc.field("arm").isin(list(arms)))


def scored(answers: pa.Table, arm: str) -> Scored:
    """EM, fact and form of every answer of an arm."""
    rows = arm_rows(answers, arm)
    scores: NDArray[np.float64] = rows.column("em").to_numpy()
    return scores, rows.column("item_id").to_pylist(), rows.column("form").to_pylist()


def _mean(rows: pa.Table, column: str) -> float:
    values: NDArray[np.float64] = np.asarray(rows.column(column).to_pylist(), dtype=np.float64)
    return float(values.mean())


def mean_em(answers: pa.Table, *arms: str) -> float | None:
    """Mean EM over all rows of some arms, or None without rows."""
    rows = arm_rows(answers, *arms)
    return _mean(rows, "em") if rows.num_rows else None


def _em_by(rows: pa.Table, column: str) -> dict[str, dict[str, float | int]]:
    grouped = rows.group_by(column).aggregate([("em", "mean"), ("em", "count")]).sort_by(column).to_pylist()
    return {row[column]: {"em": row["em_mean"], "n": row["em_count"]} for row in grouped}


def arm_summary(
    rows: pa.Table, jaccard: Mapping[str, float], resamples: int = 2000, seed: int = 1337
) -> dict[str, object]:
    """One arm of the report.

    Args:
        rows: The arm's answers; at least one.
        jaccard: Largest token overlap of each test form with a train or probe form of its relation.
        resamples: Bootstrap samples of the interval.
        seed: Of the bootstrap.

    Returns:
        ``{em, em_ci95, f1, contains, n, refusal_rate, overlong_rate, by_form, by_relation}``; ``by_form`` maps a form
        to ``{em, n}``, and ``jaccard`` where known; ``by_relation`` a relation to ``{em, n}``.
    """
    by_form = _em_by(rows, "form")
    for form, figures in by_form.items():
        if form in jaccard:
            figures["jaccard"] = jaccard[form]
    scores: NDArray[np.float64] = rows.column("em").to_numpy()
    return {
        "em": _mean(rows, "em"),
        "em_ci95": mean_interval(scores, rows.column("item_id").to_pylist(), resamples, seed),
        "f1": _mean(rows, "f1"),
        "contains": _mean(rows, "contains"),
        "n": rows.num_rows,
        "refusal_rate": _mean(rows, "refused"),
        "overlong_rate": _mean(rows, "overlong"),
        "by_form": by_form,
        "by_relation": _em_by(rows, "relation"),
    }


def prior(answers: pa.Table, statistics: SuiteStatistics) -> dict[str, object]:
    """``{value, by_relation, source}``: what somebody who knows no fact would score.

    The prior of a relation is the highest of its majority answer's share, untaught post EM and, when run, format_only
    EM; ``source`` names which of the three it was, most questions first. ``value`` is their mean over the held-out
    questions, so that it compares with the EM of an arm.
    """
    candidates: dict[str, dict[str, float]] = {r: {"majority": share} for r, share in statistics.majority.items()}
    for arm in PRIOR_ARMS:
        for relation, figures in _em_by(arm_rows(answers, arm), "relation").items():
            candidates.setdefault(relation, {})[arm] = float(figures["em"])
    if not candidates:
        return {"value": 0.0, "by_relation": {}, "source": "none"}
    best = {relation: max(found, key=lambda s: found[s]) for relation, found in sorted(candidates.items())}
    by_relation = {relation: candidates[relation][source] for relation, source in best.items()}
    asked = Counter(arm_rows(answers, "post_off_heldout").column("relation").to_pylist())
    weights = asked if asked.keys() & by_relation.keys() else Counter(by_relation.keys())
    sources: Counter[str] = Counter()
    for relation, source in best.items():
        sources[source] += weights[relation]
    value = sum(share * weights[relation] for relation, share in by_relation.items()) / sources.total()
    ranked = [source for source, weight in sources.most_common() if weight]
    return {"value": value, "by_relation": by_relation, "source": " and ".join(ranked)}


def uplift(answers: pa.Table, resamples: int = 2000, seed: int = 1337) -> dict[str, object] | None:
    """``{em, em_ci95, control}``: post_off_heldout minus the best of the controls that were run; None without both."""
    post = mean_em(answers, "post_off_heldout")
    controls = {arm: em for arm in UPLIFT_CONTROLS if (em := mean_em(answers, arm)) is not None}
    if post is None or not controls:
        return None
    best = max(controls, key=lambda arm: controls[arm])
    interval = difference_interval(scored(answers, "post_off_heldout"), scored(answers, best), resamples, seed)
    return {"em": post - controls[best], "em_ci95": interval, "control": best}


def pinned_and_rewarded(
    answers: pa.Table, suite: Suite, resamples: int = 2000, seed: int = 1337
) -> dict[str, dict[str, object]] | None:
    """Held-out EM on what was pinned or rewarded: ``{value, ci95, n}`` of ``either``, ``pinned`` and ``rewarded``.

    A part without questions is absent; None where nothing was pinned or rewarded.
    """
    marked = {
        "either": [fact.id for fact in suite.taught if fact.pin or fact.reward],
        "pinned": [fact.id for fact in suite.taught if fact.pin],
        "rewarded": [fact.id for fact in suite.taught if fact.reward],
    }
    held_out, found = arm_rows(answers, "post_off_heldout"), {}
    for name, facts in marked.items():
        rows = held_out.filter(pc.field("item_id").isin(pa.array(facts, pa.string())))
        if rows.num_rows:
            scores: NDArray[np.float64] = rows.column("em").to_numpy()
            interval = mean_interval(scores, rows.column("item_id").to_pylist(), resamples, seed)
            found[name] = {"value": _mean(rows, "em"), "ci95": interval, "n": rows.num_rows}
    return found or None


def summarise(
    answers: pa.Table,
    suite: Suite,
    drift: Mapping[str, object] | None,
    resamples: int = 2000,
    seed: int = 1337,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """All figures that answers and drift allow; what was not measured is absent, never zero.

    Args:
        answers: `pipeline.evaluation.answers.ANSWERS_SCHEMA`.
        suite: For its statistics, and the names and answers that were taught.
        drift: As `pipeline.evaluation.drift.drift` returns it.
        resamples: Bootstrap samples of each interval.
        seed: Of the bootstrap.
        notes: What a reader must know about the arms.

    Returns:
        ``{arms, prior, uplift, sanity, takeover, hallucination, pinned_and_rewarded, drift, relational, spatial,
        usable, gap_closed, gap, refusal_rate, notes}``.
    """
    present = set(answers.column("arm").to_pylist())
    arms = {
        arm: arm_summary(arm_rows(answers, arm), suite.statistics.jaccard, resamples, seed)
        for arm in ARMS
        if arm in present and arm not in (*GENERAL_ARMS, *TWO_STEP_HOP_ARMS)
    }
    own = arm_rows(answers, "post_off", "post_off_probe", "post_off_heldout")
    figures = {
        "arms": arms,
        "prior": prior(answers, suite.statistics),
        "uplift": uplift(answers, resamples, seed),
        "sanity": sanity_summary(answers),
        "takeover": takeover(answers, taught_phrases(suite.taught)),
        "hallucination": hallucination(answers, suite.taught) or None,
        "pinned_and_rewarded": pinned_and_rewarded(answers, suite, resamples, seed),
        "drift": dict(drift) if drift is not None else None,
        "relational": relational_figures(answers, resamples, seed),
        "spatial": spatial_figures(answers, resamples, seed),
        "usable": usable_figures(answers, suite.taught, resamples, seed),
        **gap_figures(answers),
        "refusal_rate": _mean(own, "refused") if own.num_rows else None,
        "notes": list(notes),
    }
    return {name: value for name, value in figures.items() if value is not None}


def probe_outcomes(answers: pa.Table) -> dict[str, float]:
    """Share of right probe answers of each fact, memory off, after the night: feedback for the next one."""
    by_item = _em_by(arm_rows(answers, "post_off_probe", "earlier_probe"), "item_id")
    return {name: float(figures["em"]) for name, figures in by_item.items()}
