"""The tables and the plot of a sweep, from reports made by hand."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from pipeline.report.plots import png
from pipeline.report.sweep import ALL_NIGHTS, HELD_OUT, Measured, Sweep, Variant, sweep_csv, sweep_markdown, sweep_table
from pipeline.report.sweep_plots import svg, sweep_plot
from tests.report.examples import IDENTITY, answered, make_report

SUITE, ANSWERS = answered()
REPORT = make_report(SUITE, ANSWERS, identity=IDENTITY)


def run(seed: int, em: float, **changed: object) -> Measured:
    arms = dict(REPORT.arms)
    arms["post_off_heldout"] = arms["post_off_heldout"].model_copy(update={"em": em, "em_ci95": (em - 0.1, em + 0.1)})
    report = REPORT.model_copy(update={"arms": arms, "seed": seed, **changed})
    return Measured("v", seed, f"run-{seed}", report, 1000 * seed, 10.0)


def variant(name: str, *runs: Measured, axis: float | None = None, failed: str = "") -> Variant:
    failures = ((9, failed),) if failed else ()
    seeds = tuple(run.seed for run in runs) + tuple(seed for seed, _ in failures)
    return Variant(name, "consolidation/episodic", ("lora.rank=2",), axis, runs, failures, seeds)


def sweep(*variants: Variant, axis: str | None = None) -> Sweep:
    return Sweep("mine", "Ranks", axis, variants)


def test_over_seeds_the_interval_is_student_s_and_of_one_seed_the_run_s_own() -> None:
    several = variant("a", run(1, 0.8), run(2, 0.9), run(3, 1.0))
    low, high = several.interval(HELD_OUT) or (0, 0)
    assert (low + high) / 2 == pytest.approx(0.9) and (high - low) / 2 == pytest.approx(4.3027 * 0.1 / 3**0.5, abs=1e-4)
    alone = variant("b", run(1, 0.8))
    assert alone.interval(HELD_OUT) == (pytest.approx(0.7), pytest.approx(0.9)) and alone.interval("near_miss") is None
    assert several.figures["tokens"].mean == 2000 and several.figures["seconds"].mean == 10


def test_the_table_has_a_row_a_variant_and_leaves_out_what_nobody_has() -> None:
    table = sweep_table(sweep(variant("a", run(1, 0.8), run(2, 0.9)), variant("b", failed="[no] memory | left")))
    assert [row[0] for row in table.rows] == ["a", "b"]
    assert "all nights" not in table.columns and table.columns[:3] == ("variant", "held out", "95 %")
    assert table.rows[0][1] == "0.850" and table.rows[0][-1] == "2 of 2"
    assert set(table.rows[1][1:-2]) == {"–"} and table.rows[1][-1] == "0 of 1"


def test_the_worst_form_is_the_lowest_of_the_held_out_forms() -> None:
    cells = dict(REPORT.arms["post_off_heldout"].by_form)
    name = next(iter(cells))
    cells[name] = cells[name].model_copy(update={"em": 0.25})
    arm = REPORT.arms["post_off_heldout"].model_copy(update={"by_form": cells})
    measured = run(1, 0.8, arms=REPORT.arms | {"post_off_heldout": arm})
    assert measured.figures["worst_form"] == 0.25


def test_of_months_every_night_counts_and_a_single_night_stands_beside_them() -> None:
    month = run(1, 0.8, retention={"1": {"1": 1.0}, "10": {"1": 0.2, "10": 0.6}, "2": {"1": 0.9, "2": 1.0}})
    found = sweep(variant("month", month), variant("joint", run(1, 0.7)))
    assert found.headline == ALL_NIGHTS and month.figures[ALL_NIGHTS] == pytest.approx(0.4)
    figure = sweep_plot(found)
    assert figure is not None and "all nights" in figure.axes[0].get_title("left")
    assert [bar.get_width() for bar in figure.axes[0].patches] == [pytest.approx(0.4), pytest.approx(0.7)]


def test_a_gain_is_over_the_runs_of_the_same_seeds() -> None:
    ours = replace(variant("a", run(1, 0.9), run(2, 0.8), run(3, 0.1)), baseline="b")
    told = sweep(ours, variant("b", run(1, 0.5), run(2, 0.6)))
    mean, bounds = told.gain(ours) or (0, None)
    assert mean == pytest.approx(0.3) and bounds is not None
    assert (bounds[1] - bounds[0]) / 2 == pytest.approx(12.7062 * 0.1, abs=1e-3)  # of two differences, .4 and .2
    assert sweep_table(told).rows[0][-4] == "+0.300, b" and sweep_table(told).rows[1][-4] == "–"
    assert "held out, over" not in sweep_table(sweep(variant("a", run(1, 0.9)))).columns
    assert told.gain(told.variants[1]) is None
    alone = replace(variant("a", run(3, 0.9)), baseline="b")
    assert sweep(alone, variant("b", run(1, 0.5))).gain(alone) is None


def test_csv_keeps_full_precision_and_is_empty_where_nothing_was_measured() -> None:
    text = sweep_csv(sweep(variant("a", run(1, 1 / 3)), variant("b", failed="a, b")))
    first, second = csv.DictReader(io.StringIO(text))
    assert float(first["held_out"]) == 1 / 3 and first["all_nights"] == "" and first["seeds"] == "1"
    assert second["held_out"] == second["held_out_low"] == "" and second["failed"] == "seed 9: a, b"


def test_markdown_names_failures_settings_runs_and_other_code() -> None:
    told = sweep(variant("a", run(1, 0.8), run(2, 0.9, code_version="e" * 64)), variant("b", failed="[no] memory"))
    text = sweep_markdown(told)
    for words in ("# Sweep mine", "not finished: b, seed 9: \\[no\\] memory", "| v | 1 | run-1 |", "lora.rank=2"):
        assert words in text
    assert "the code changed" in text
    assert "the code changed" not in sweep_markdown(sweep(variant("a", run(1, 0.8))))


def test_sizes_are_drawn_in_their_order_on_a_logarithmic_axis() -> None:
    sizes = sweep(
        variant("n-50", run(1, 0.9), axis=50.0), variant("n-10", run(1, 1.0), axis=10.0), variant("n-200", axis=200.0),
        axis="suite.n",
    )  # fmt: skip
    figure = sweep_plot(sizes)
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "suite.n"
    line = axes.get_lines()[0]
    assert list(line.get_xdata()) == [10.0, 50.0] and list(line.get_ydata()) == [1.0, 0.9]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["10", "50"]


def test_pictures_have_the_same_bytes_every_time_and_need_a_finished_run() -> None:
    def drawn() -> tuple[bytes, bytes]:
        figure = sweep_plot(sweep(variant("a", run(1, 0.8)), variant("b", run(1, 1.0))))
        assert figure is not None
        return svg(figure), png(figure)

    assert drawn() == drawn() and drawn()[0].startswith(b"<?xml")
    assert sweep_plot(sweep(variant("b", failed="no"))) is None
