"""Which runs a comparison consists of, what is done once, and how it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import ContinualConfig, config_root, load_section
from pipeline.continual import comparison
from pipeline.continual.comparison import Run, outcomes, runs_of
from pipeline.continual.protocol import Outcome
from pipeline.continual.table import accuracy_plot, rows_of
from pipeline.errors import ConfigError
from pipeline.report.plots import png

FILE = config_root() / "benchmarks" / "continual.yaml"


def config(*overrides: str) -> ContinualConfig:
    return load_section(ContinualConfig, FILE, overrides)


def outcome(*last: float) -> Outcome:
    return Outcome([[0.9], list(last)], 20, {"buffer": 785}, 1.5)


def test_every_method_has_as_many_trials_and_settings_for_every_stream() -> None:
    found = config()
    assert {len(row.trials) for row in found.rows.values()} == {4}
    assert len(runs_of(found)) == 4 * len(found.rows) * 5
    tuned = runs_of(config("tune=true"))
    assert len(tuned) == 4 * len(found.rows) * 4 * 2 and {run.judged_by for run in tuned} == {"validation"}
    for row in found.rows.values():
        assert all(settings in row.trials for settings in row.chosen.values())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("methods=[er-300]", "er-300 is none of"),
        ("rows.naive.grid.shift=[1, 2]", "as many trials"),
        ("rows.naive.fixed.lerning_rate=1.0", "unknown key .rows.naive.fixed.lerning_rate"),
        ("streams=[cifar]", "streams"),
    ],
)
def test_what_is_unfair_or_unknown_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        runs_of(config(override))


def test_a_method_without_chosen_settings_asks_for_tuning() -> None:
    found = config()
    untuned = found.model_copy(
        update={"rows": found.rows | {"naive": found.rows["naive"].model_copy(update={"chosen": {}})}}
    )
    with pytest.raises(ConfigError, match=r"rows.naive.chosen has no mnist-class: run .*tune=true"):
        runs_of(untuned)


def test_a_comparison_that_was_cut_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Run] = []

    def some(waiting: dict[Path, Run], processes: int | None):  # type: ignore[no-untyped-def]
        for number, (path, each) in enumerate(waiting.items()):
            if number == 2 and not done[2:]:
                raise KeyboardInterrupt
            done.append(each)
            yield path, outcome(0.5, each.seed / 10)

    monkeypatch.setattr(comparison, "_in_processes", some)
    runs = runs_of(config('streams=["mnist-class"]', 'methods=["naive"]'))
    told: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        outcomes(runs, tmp_path, "code", 1, lambda: told.append(1))
    done.append(done[0])  # from here on nothing is cut off
    found = outcomes(runs, tmp_path, "code", 1, lambda: told.append(2))
    assert told == [1, 1] + [2] * 5 and [each.seed for each in done] == [1, 2, 1, 3, 4, 5]
    assert [each.after[-1][1] for each in found] == [0.1, 0.2, 0.3, 0.4, 0.5]
    outcomes(runs, tmp_path, "other code", 1, lambda: None)
    assert len(done) == 11


def test_runs_in_processes_are_those_of_this_process(tmp_path: Path) -> None:
    small = config('streams=["mnist-class"]', 'methods=["naive"]', "seeds=[1]", "validation_images=59000")
    (found,) = outcomes(runs_of(small), tmp_path, "code", 1, lambda: None)
    (here,) = (comparison.perform(each) for each in runs_of(small))
    assert found.after == here.after and found.steps == here.steps > 90


def test_the_table_pairs_seeds_and_cites_others() -> None:
    ours, theirs = [outcome(0.6, 0.8), outcome(0.8, 1)], [outcome(0.5, 0.7), outcome(0.7, 0.9)]
    by_method = {"er-200": theirs, "er-200+shift": ours, "soft-columns+sleep": ours, "soft-columns+sleep+shift": ours}
    rows = rows_of(by_method, {"er-200": 0.8043})
    assert rows["er-200"]["ours minus it"] == "10.0 ± 0.0" and rows["er-200+shift"]["ours minus it"] == "0.0 ± 0.0"
    assert rows["er-200"]["others %"] == "80.4" and rows["er-200"]["bytes kept"] == "785"
    assert rows["soft-columns+sleep"]["ours minus it"] == "" == rows["soft-columns+sleep"]["others %"]
    assert png(accuracy_plot("mnist-class", by_method, {"er-200": 0.8})).startswith(b"\x89PNG")
