"""Guards: thresholds, missing figures, and blindness to test questions."""

from __future__ import annotations

import random
from dataclasses import replace

import pyarrow as pa
import pytest

from pipeline.config.examination import GuardsConfig
from pipeline.evaluation.arms import Ask
from pipeline.evaluation.guards import GuardFigures, all_passed, guard_figures, verdicts
from pipeline.suites.types import Fact
from tests.evaluation.examples import Reply, examine, scripted, small_suite

SUITE = small_suite()
DRIFT = {"kl_base": 0.01, "ppl_ratio": 1.005}
GOOD = GuardFigures(0.9, 0.0, 0.01, 1.005, 0.0, 0.0, 0.0, 40.0, 50.0)
LIMITS = {
    "uplift": ("uplift", 0.20, 0.19),
    "sanity_delta": ("sanity.delta", 0.95 - 0.97, -0.021),
    "kl_base": ("drift.kl_base", 0.05, 0.051),
    "ppl_ratio": ("drift.ppl_ratio", 1.02, 1.021),
    "takeover": ("takeover", 0.02, 0.03),
    "post_on": ("post_on", 0.0, -0.01),
    "refusal_rate": ("refusal_rate", 0.5, 0.6),
    "retrieval_requests": ("retrieval.requests", 1.0, 0.0),
    "replay_samples": ("replay.samples", 1.0, 0.0),
}


def test_figures_come_from_probe_and_development_rows() -> None:
    def weak(ask: Ask) -> Reply:
        if ask.arm == "post_off_probe" and ask.question.item_id in ("e0", "e1"):
            return Reply("I don't know")
        if ask.arm == "post_on_probe" and ask.question.item_id == "e2":
            return Reply("no")
        if ask.arm == "sanity_post" and ask.question.item_id == "s-world-dev-0":
            return Reply("Mona Hale")
        return scripted(ask)

    figures = guard_figures(examine(SUITE, weak)[2], SUITE, DRIFT, 40, 50)
    assert figures.to_dict() == pytest.approx(
        {
            "uplift": 6 / 8, "sanity_delta": -1 / 6, "kl_base": 0.01, "ppl_ratio": 1.005, "takeover": 1 / 6,
            "post_on": -1 / 8, "refusal_rate": 2 / 8, "retrieval_requests": 40.0, "replay_samples": 50.0,
        }
    )  # fmt: skip


@pytest.mark.parametrize("field", sorted(LIMITS))
def test_each_guard_passes_at_its_threshold_and_fails_beyond(field: str) -> None:
    name, at, beyond = LIMITS[field]
    for value, passed in ((at, True), (beyond, False), (None, False)):
        judged = verdicts(replace(GOOD, **{field: value}), GuardsConfig())
        assert [v["passed"] for v in judged if v["name"] == name] == [passed]
        assert all(v["passed"] for v in judged if v["name"] != name)
        assert all_passed(judged) is passed
    assert all_passed([]) is False


def test_thresholds_come_from_the_configuration() -> None:
    strict = verdicts(GOOD, GuardsConfig(uplift_min=0.95))
    assert strict[0] == {"name": "uplift", "value": 0.9, "threshold": 0.95, "passed": False}


def test_permuted_test_answers_move_no_guard() -> None:
    """Test questions decide nothing: shuffle their golds and answers everywhere, the verdict stays identical."""
    shuffler = random.Random(7)
    pool = [f"value{i}" for i in range(500)]

    def permuted(fact: Fact) -> Fact:
        return replace(
            fact,
            questions=tuple(
                replace(q, answer=shuffler.choice(pool)) if q.split == "test" else q for q in fact.questions
            ),
        )

    table = examine(SUITE)[2]
    rows = table.to_pylist()
    for row in rows:
        if row["split"] == "test":
            row |= {"answer": shuffler.choice(["Mona Hale", "harbour", "nothing"]), "gold": shuffler.choice(pool)}
            row |= {"em": float(shuffler.random() < 0.5), "contains": float(shuffler.random() < 0.5)}
            row |= {"refused": shuffler.random() < 0.5}
    other_suite = replace(SUITE, taught=tuple(permuted(fact) for fact in SUITE.taught))
    other = pa.Table.from_pylist(rows, schema=table.schema)
    assert not other.equals(table)
    assert guard_figures(other, other_suite, DRIFT, 40, 50) == guard_figures(table, SUITE, DRIFT, 40, 50)


def test_what_was_not_measured_fails() -> None:
    figures = guard_figures(examine(SUITE)[2].slice(0, 0), SUITE, None, 0, 0)
    judged = verdicts(figures, GuardsConfig())
    assert not any(v["passed"] for v in judged)
    assert [v["value"] for v in judged] == [None] * 7 + [0.0, 0.0]


def test_continuing_nights_have_two_more_guards() -> None:
    figures = guard_figures(examine(SUITE, scripted)[2], SUITE, DRIFT | {"kl_previous": 0.03}, 40, 50)
    judged = {v["name"]: v for v in verdicts(figures, GuardsConfig())}
    assert not judged["drift.kl_previous"]["passed"] and "retention" not in judged
    assert {v["name"] for v in verdicts(replace(figures, retention=-0.05), GuardsConfig()) if v["passed"]} >= {
        "retention"
    }
    assert "drift.kl_previous" not in {v["name"] for v in verdicts(replace(figures, kl_previous=None), GuardsConfig())}


def test_perplexity_over_many_nights_is_held_to_what_the_divergence_allows() -> None:
    further = replace(GOOD, ppl_ratio=1.04)
    alone, later = (
        next(v for v in verdicts(figures, GuardsConfig()) if v["name"] == "drift.ppl_ratio")
        for figures in (further, replace(further, kl_previous=0.01))
    )
    assert (alone["threshold"], alone["passed"]) == (1.02, False)
    assert (later["threshold"], later["passed"]) == (1.05, True)
