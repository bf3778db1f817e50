"""Figures over seeds: by hand, as a table, as Markdown, and read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.artifacts import write_json
from pipeline.errors import ArtifactError
from pipeline.report.repeat import (
    Repeat,
    SeedRun,
    cautions,
    explanation,
    over_seeds,
    read_repeat,
    repeat_markdown,
    repeat_table,
)

FIGURES, LEFT_OUT = over_seeds(
    {
        1: {"accuracy.after_sleep (mean)": 0.8, "drift.tokens": 6000.0, "sanity.kept": 1.0},
        2: {"accuracy.after_sleep (mean)": 0.9, "drift.tokens": 6000.0},
        7: {"accuracy.after_sleep (mean)": 1.0, "drift.tokens": 6000.0, "sanity.kept": 0.5},
    }
)


def seed_run(seed: int, code: str = "a", *failed: str) -> SeedRun:
    return SeedRun(
        seed=seed, run_id=f"run-{seed}", config_hash="0" * 16, code_version=code * 64, failed_guards=tuple(failed)
    )


def make_repeat(*runs: SeedRun, seeds: tuple[int, ...] = (1, 2, 7)) -> Repeat:
    return Repeat(
        target="columns/soft-sleep",
        name="mine",
        settings=("sleep.budget=200", "tasks=[a, b]"),
        config={"sleep": {"budget": 200}},
        seeds=seeds,
        runs=runs,
        figures=FIGURES,
        left_out=LEFT_OUT,
    )


def test_means_have_student_s_interval_and_every_seed_s_value() -> None:
    found = FIGURES["accuracy.after_sleep (mean)"]
    margin = 4.3027 * 0.1 / 3**0.5  # t for two degrees of freedom
    assert found.mean == pytest.approx(0.9) and found.interval == pytest.approx((0.9 - margin, 0.9 + margin), abs=1e-4)
    assert (found.lowest, found.highest, found.n) == (0.8, 1.0, 3) and found.values == {"1": 0.8, "2": 0.9, "7": 1.0}
    assert FIGURES["drift.tokens"].interval == (6000, 6000)


def test_a_figure_that_one_seed_lacks_is_left_out_by_name() -> None:
    assert "sanity.kept" not in FIGURES and LEFT_OUT == ("sanity.kept",)
    assert over_seeds({}) == ({}, ())


def test_the_table_has_a_dash_where_one_seed_gives_no_interval() -> None:
    runs = [seed_run(seed) for seed in (1, 2, 7)]
    assert repeat_table(make_repeat(*runs)).rows == (
        ("accuracy.after_sleep (mean)", "0.9000", "± 0.2484", "0.8000", "1.0000", "3"),
        ("drift.tokens", "6,000.0", "± 0.0", "6,000.0", "6,000.0", "3"),
    )
    assert repeat_table(make_repeat(*runs)).title == "columns/soft-sleep over 3 seeds"
    assert repeat_table(make_repeat(*runs[:2])).title == "columns/soft-sleep over 2 of 3 seeds"
    alone = make_repeat(runs[0], seeds=(1,)).model_copy(update={"figures": over_seeds({1: {"takeover": 0.02}})[0]})
    assert repeat_table(alone).rows == (("takeover", "0.0200", "–", "0.0200", "0.0200", "1"),)
    assert "(mean)" in explanation(make_repeat()) and "(mean)" not in explanation(alone)


def test_other_code_in_some_runs_is_said() -> None:
    assert cautions(make_repeat(seed_run(1), seed_run(2), seed_run(3, "b"))) == [
        "left out, as not every seed has it: sanity.kept"
    ]
    changed = cautions(make_repeat(seed_run(1), seed_run(2), seed_run(7, "b")))
    assert f"{'a' * 12} ran seeds 1, 2; {'b' * 12} ran seed 7" in changed[0]


def test_markdown_holds_the_table_the_runs_and_the_command() -> None:
    text = repeat_markdown(make_repeat(seed_run(2, "b", "accuracy", "wake_drop"), seed_run(1)))
    for words in (
        "| accuracy.after_sleep (mean) | 0.9000 | ± 0.2484 | 0.8000 | 1.0000 | 3 |",
        "> the code changed between the runs",
        "| 2 | run-2 | 0000000000000000 | bbbbbbbbbbbb | FAILED: accuracy, wake_drop |",
        "engram repeat columns/soft-sleep --seeds 1,2,7 --set sleep.budget=200 --set 'tasks=[a, b]'",
    ):
        assert words in text


def test_it_reads_back_the_same_and_refuses_what_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "repeat.json"
    repeat = make_repeat(seed_run(1), seed_run(2, "b", "accuracy"))
    write_json(path, repeat.model_dump(mode="json"))
    assert read_repeat(path) == repeat
    assert [run.seed for run in repeat.failed] == [2] and [run.seed for run in repeat.finished] == [1, 2]
    write_json(path, repeat.model_dump(mode="json") | {"schema_name": "repeat/2"})
    with pytest.raises(ArtifactError, match=r"repeat\.json: not of schema repeat/1: schema_name"):
        read_repeat(path)
    path.write_text("{")
    with pytest.raises(ArtifactError, match="not valid JSON"):
        read_repeat(path)
