"""Dotted names, the same in MLflow and report.json."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.tracking.flatten import PARAM_LENGTH, flat_metrics, flat_params, metric_name, split_fine

FIGURES = st.recursive(
    st.one_of(st.floats(), st.integers(-5, 5), st.booleans(), st.none(), st.text(max_size=3)),
    lambda inner: st.dictionaries(st.text("ab./é<", min_size=1, max_size=4), inner, max_size=4),
    max_leaves=12,
)


def test_names_are_those_of_the_report() -> None:
    assert flat_metrics(
        {
            "arms": {"pre_off": {"em": 0.5, "em_ci95": [0.25, 0.75], "n": 4, "by_form": {"r/test-1": {"em": 1.0}}}},
            "guards": [{"name": "drift.kl_base", "value": None, "threshold": 0.05, "passed": False}],
            "telemetry": {"retrieval.requests": 3},
            "promoted": True,
            "model": "text",
            "notes": ["a", "b"],
            "takeover": float("nan"),
        }
    ) == {
        "arms.pre_off.em": 0.5,
        "arms.pre_off.em_ci95.low": 0.25,
        "arms.pre_off.em_ci95.high": 0.75,
        "arms.pre_off.n": 4.0,
        "arms.pre_off.by_form.r/test-1.em": 1.0,
        "guards.drift.kl_base.threshold": 0.05,
        "guards.drift.kl_base.passed": 0.0,
        "telemetry.retrieval.requests": 3.0,
        "promoted": 1.0,
    }


@given(st.dictionaries(st.text("ab./é<", min_size=1, max_size=4), FIGURES, max_size=4))
def test_every_metric_is_finite_and_has_an_allowed_name(figures: dict[str, object]) -> None:
    for name, value in flat_metrics(figures).items():
        assert metric_name(name) == name
        assert abs(value) < float("inf")


def test_params_are_texts_of_every_leaf() -> None:
    flat = flat_params({"suite": {"n": 8, "path": None, "shares": {}}, "targets": ["a", "b"], "long": "x" * 9000})
    assert flat.pop("long") == "x" * PARAM_LENGTH
    assert flat == {"suite.n": "8", "suite.path": "None", "suite.shares": "{}", "targets": "['a', 'b']"}


def test_what_nights_are_compared_by_stands_apart() -> None:
    told = {"arms.post_off.em": 0.5, "telemetry.refusal_rate": 0.1, "takeover": 0.0, "usable.tell_recall.value": 1.0}
    fine = {"arms.post_off.em_ci95.low": 0.4, "arms.post_off.f1": 0.6, "guards.takeover.threshold": 0.02}
    fine |= {"arms.post_off.by_form.a/test-1.em": 1.0, "sanity.by_half.dev.pre": 0.3, "usable.tell_recall.ci95.high": 1}
    assert split_fine(fine | told) == (told, fine)
    assert next(iter(split_fine(fine | told)[0])) == "arms.post_off.em"  # a headline: MLflow draws the first ones
