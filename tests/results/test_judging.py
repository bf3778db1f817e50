"""Bars, verdicts and intervals."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.config.results import RowConfig
from pipeline.results.entries import Entry
from pipeline.results.grouping import Variant
from pipeline.results.judging import ABSENT, MET, REPORTED, SHORT, Row, judge, row_of, shared, spread
from pipeline.results.page import bar_text, cells, short, verdict
from pipeline.results.reading import Found, Run
from tests.results.examples import config, run

HELD_OUT = "arms.post_off_heldout.em"


def entries(*runs: Run) -> Variant:
    return Variant({}, "as shipped", tuple(Entry((one,)) for one in runs))


def row(*runs: Run, figure: str = HELD_OUT, **bar: Any) -> Row:
    return row_of(RowConfig(group="g", figure=figure, title="t", **bar), entries(*runs) if runs else None)


def test_the_mean_has_to_meet_the_bar_and_no_seed_may_be_far_below() -> None:
    found = row(run(1, 0.80), run(2, 0.95), run(3, 1.0), at_least=0.9)
    assert found.spread is not None and found.spread.mean == pytest.approx(0.91666, abs=1e-4)
    assert found.verdict == SHORT and found.missed == (1,) and verdict(found) == "**short**: seed 1"
    assert row(run(1, 0.85), run(2, 0.95), run(3, 1.0), at_least=0.9).verdict == MET
    below = row(run(1, 0.86), run(2, 0.89), run(3, 0.94), at_least=0.9)
    assert below.verdict == SHORT and below.missed == (1, 2)
    assert row(run(1, 0.03), run(2, 0.005), at_most=0.02).verdict == MET, "one seed above, the mean is not"
    assert row(run(1, 0.03), run(2, 0.02), at_most=0.02).missed == (1,)
    assert row(run(1, 0.9), run(2, 0.95), at_least=0.9).verdict == MET
    assert verdict(row(run(1, 0.5), run(2, 0.6), at_least=0.9)) == "**short**"


def test_a_share_that_is_the_bar_but_for_rounding_meets_it() -> None:
    assert row(run(1, 0.1 + 0.2), at_most=0.3).verdict == MET  # 0.30000000000000004
    assert row(run(1, 0.301), at_most=0.3).verdict == SHORT


def test_a_bar_over_another_figure_is_every_run_s_own() -> None:
    prior = {"by_relation": {}, "source": "s"}
    runs = (run(1, 0.07, prior=prior | {"value": 0.02}), run(2, 0.07, prior=prior | {"value": 0.01}))
    found = row(*runs, at_most=0.05, over="prior.value")  # .070 on average, over .065
    assert found.bars == {1: pytest.approx(0.07), 2: pytest.approx(0.06)} and found.missed == (2,)
    assert bar_text(found.config) == "≤ prior + 0.05"
    unknown = row(run(1, 0.07, prior=None), at_most=0.05, over="prior.value")
    assert unknown.verdict == REPORTED and not unknown.bars


def test_within_means_either_side_of_zero() -> None:
    for value, said in ((-0.02, MET), (0.021, SHORT), (-0.03, SHORT), (0.0, MET)):
        forget = {"target": 0.0, "prior": 0.0, "seen_target": 0.0, "seen_prior": 0.0, "n": 1, "questions": 3}
        found = row(run(1, forget=forget | {"neighbours": value}), figure="forget.neighbours", within=0.02)
        assert found.verdict == said and bar_text(found.config) == "± 0.02"


def test_what_nobody_measured_is_neither_met_nor_zero() -> None:
    for found in (row(at_least=0.9), row(run(1), figure="usable.yes_no.value", at_least=0.8)):
        assert found.verdict == ABSENT and found.spread is None
        assert cells(found)[3:] == ("–", "–", "–", ABSENT)


def test_a_seed_that_lacks_the_figure_is_named() -> None:
    found = row(run(1, takeover=0.0), run(2), figure="takeover", at_most=0.01)
    assert found.values == {1: 0.0} and found.lacking == (2,)
    assert cells(found)[5] == "1: 0.000; not in seed 2" and cells(found)[6] == "met, one seed"


def test_a_single_seed_has_the_interval_of_its_report_and_several_have_student_s() -> None:
    assert cells(row(run(1, 0.9)))[4] == "0.860 to 0.920"
    assert cells(row(run(1, takeover=0.0), figure="takeover"))[4] == "–"
    assert cells(row(run(1, 0.8), run(2, 0.9), run(3, 1.0)))[4] == "± 0.248"


def test_figures_are_written_with_the_decimals_they_need() -> None:
    drift = {"kl_base": 0.01234, "kl_by_domain": {}, "ppl_ratio": 1.01, "tokens": 10}
    assert cells(row(run(1, drift=drift), figure="drift.kl_base", at_most=0.02))[3] == "0.0123"
    sanity = {"pre": 0.5, "post": 0.4888, "delta": -0.0112, "kept": None, "n": 10, "by_panel": {}}
    told = cells(row(run(1, sanity=sanity), figure="sanity.delta", at_least=-0.01, aim=0.005))
    assert told[1:4] == ("≥ −0.01", "0.005", "−0.011") and told[6] == "**short**"
    assert short(0.9) == "0.90" and short(-0.03) == "−0.03"


def test_the_whole_page_has_a_row_for_every_one_that_is_configured() -> None:
    judged = judge(Found(runs=(run(1), run(2, 0.5))), config())
    assert [(r.config.group, r.verdict) for r in judged.rows] == [("episodic@50", SHORT), ("month-3x50", ABSENT)]


def test_patterns_mean_whole_names() -> None:
    variant = entries(run(2, 0.5), run(1, 0.25))
    assert shared(variant.entries, "arms.*.em") == {HELD_OUT: {2: 0.5, 1: 0.25}}
    assert shared(variant.entries, "arms") == {} and spread({}) is None


@pytest.mark.parametrize(
    "bars", [{"at_least": 0.1, "within": 0.2}, {"over": "prior.value"}, {"within": 0.1, "over": "x"}]
)
def test_a_row_has_one_bar(bars: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"give one of them|expected one of"):
        RowConfig(group="g", figure="x", title="t", **bars)


def test_a_row_names_a_group_that_there_is() -> None:
    with pytest.raises(ValueError, match="no group is called 'nowhere'"):
        config(rows=[{"group": "nowhere", "figure": "x", "title": "t"}])
