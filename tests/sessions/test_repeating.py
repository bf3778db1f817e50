"""A deployment over seeds: what runs, what is not run again, what is refused; with a stand-in for the runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.artifacts import FileLock, RunFolder, list_runs, open_run, write_json
from pipeline.config import FlowConfig, config_hash, load_config
from pipeline.errors import ConfigError, DataError
from pipeline.report.repeat import Repeat
from pipeline.sessions.repeating import Asked, ask, parse_seeds, repeat
from tests.columns.examples import GUARDS, IDENTITY, make_report

TARGET = "columns/soft-sleep"


class Runs:
    """Does runs in no time: the report is written by hand, with a spike rate that tells the seed."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.settings: list[tuple[str, ...]] = []
        self.fails: dict[int, BaseException] = {}
        self.good: set[int] = set()
        self.code = "f"
        self.changed: dict[str, Any] = {}

    def __call__(self, config: FlowConfig, settings: tuple[str, ...]) -> RunFolder:
        self.settings.append(settings)
        with open_run(config) as run:
            if config.seed in self.fails:
                raise self.fails.pop(config.seed)
            told = {"run_id": run.run_id, "seed": config.seed, "config_hash": config_hash(config)}
            identity = IDENTITY.model_copy(update={**told, "code_version": self.code * 64})
            guards = [guard | {"passed": True} for guard in GUARDS] if config.seed in self.good else GUARDS
            report = make_report(self.changed | {"spike_rate": config.seed / 100}, identity=identity, guards=guards)
            write_json(run.path / "report.json", report.to_json())
        self.done.append(config.seed)
        return run


@pytest.fixture
def runs() -> Runs:
    return Runs()


def repeated(runs: Runs, seeds: Sequence[int], *settings: str, **options: Any) -> Repeat:
    return repeat(ask(TARGET, seeds, settings, **options), runs, lambda line: None)


def kept(asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((asked.folder / "repeat.json").read_text())
    return found


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("1-5", (1, 2, 3, 4, 5)), ("9,1,3", (9, 1, 3)), ("7, 1-3 ,0", (7, 1, 2, 3, 0)), ("4-4", (4,))],
)
def test_seeds_are_ranges_and_lists(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, unique=True))
def test_a_list_of_seeds_is_read_as_it_is_written(seeds: list[int]) -> None:
    assert parse_seeds(",".join(map(str, seeds))) == tuple(seeds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "found ''"),
        ("1,,2", "found ''"),
        ("one", "found 'one'"),
        ("-1", "found '-1'"),
        ("1.5", "found '1.5'"),
        ("1-", "found '1-'"),
        ("٣", "expected whole numbers"),
        ("5-1", "write it as 1-5"),
        ("1-3,2", "found 2 more than once"),
        ("0-4294967295", "at most 1000"),
        ("1-600,1001-1600", "at most 1000"),
    ],
)
def test_nonsense_is_no_seed(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_seeds(text)


def test_every_seed_is_a_run_and_the_second_time_none_is(runs: Runs) -> None:
    found = repeated(runs, (3, 1), "sleep.budget=200")
    assert runs.done == [3, 1]
    assert runs.settings == [("sleep.budget=200", "seed=3"), ("sleep.budget=200", "seed=1")]
    rate = found.figures["spike_rate"]
    assert (rate.mean, rate.values) == (pytest.approx(0.02), {"3": 0.03, "1": 0.01}) and rate.interval is not None
    assert repeated(runs, (3, 1), "sleep.budget=200") == found and runs.done == [3, 1]


def test_more_seeds_are_added_and_fewer_forget_nothing(runs: Runs) -> None:
    repeated(runs, (1, 2))
    assert repeated(runs, (1, 2, 3)).figures["spike_rate"].n == 3 and runs.done == [1, 2, 3]
    few = repeated(runs, (2,))
    assert few.figures["spike_rate"].n == 1 and [run.seed for run in few.runs] == [1, 2, 3]
    repeated(runs, (1, 2, 3))
    assert runs.done == [1, 2, 3]


def test_other_settings_are_another_repeat(runs: Runs) -> None:
    assert repeated(runs, (1,)).name != repeated(runs, (1,), "sleep.epochs=2").name
    assert runs.done == [1, 1]


def test_failed_guards_are_known_by_seed(runs: Runs) -> None:
    runs.good = {2}
    assert [(run.seed, run.failed_guards) for run in repeated(runs, (1, 2)).failed] == [(1, ("wake_drop",))]


def test_a_repeat_that_was_cut_short_goes_on(runs: Runs, artifact_root: Path) -> None:
    asked = ask(TARGET, (1, 2, 3), ())
    runs.fails[2] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        repeat(asked, runs, lambda line: None)
    assert kept(asked)["figures"]["spike_rate"]["values"] == {"1": 0.01}
    assert "over 1 of 3 seeds" in (asked.folder / "repeat.md").read_text()
    repeat(asked, runs, lambda line: None)
    assert runs.done == [1, 2, 3]
    taken_up = {run.manifest()["seed"]: run.manifest()["resumed"] for run in list_runs(artifact_root)}
    assert taken_up == {1: 0, 2: 1, 3: 0}


def test_an_ordinary_run_is_none_of_the_repeat_and_a_removed_one_is_done_again(runs: Runs, artifact_root: Path) -> None:
    runs(load_config(TARGET, ["seed=1"]), ())
    found = repeated(runs, (1,))
    assert runs.done == [1, 1]
    shutil.rmtree(artifact_root / "runs" / TARGET / found.runs[0].run_id)
    again = repeated(runs, (1,))
    assert runs.done == [1, 1, 1] and again.runs[0].run_id != found.runs[0].run_id


def test_other_settings_under_the_same_name_are_refused(runs: Runs) -> None:
    asked = ask(TARGET, (1,), ("sleep.epochs=3",), "mine")
    repeat(asked, runs, lambda line: None)
    before = kept(asked)
    with pytest.raises(ConfigError, match=r"repeat mine was started with other settings \(sleep.epochs: 3 → 4\)"):
        repeated(runs, (2,), "sleep.epochs=4", name="mine")
    assert runs.done == [1] and kept(asked) == before


def test_runs_of_other_code_stay_and_are_told_apart(runs: Runs) -> None:
    repeated(runs, (1,))
    runs.code = "e"
    assert [run.code_version[0] for run in repeated(runs, (1, 2)).runs] == ["f", "e"] and runs.done == [1, 2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"settings": ["seed=3"]}, "takes its seeds from --seeds"),
        ({"settings": ["sleep.epoch=3"]}, "unknown key 'sleep.epoch'"),
        ({"seeds": [2**32]}, "less than 4294967296"),
        ({"name": "../x"}, "cannot be part of a path"),
        ({"figures": ["acuracy"]}, "did you mean 'accuracy'"),
        ({"figures": ["accuracy", "model"]}, "--figure model: no report of flow columns has such a number"),
        ({"target": "columns/nothing"}, "unknown deployment"),
        ({"target": "consolidation/nightly", "settings": ["session=home"]}, "would not be independent"),
    ],
)
def test_what_can_be_known_is_refused_before_anything_runs(
    options: dict[str, Any], words: str, artifact_root: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        ask(**({"target": TARGET, "seeds": [1, 2], "settings": []} | options))
    assert not list(artifact_root.iterdir())


def test_a_figure_that_turns_out_not_to_exist_costs_one_run_and_loses_none(runs: Runs) -> None:
    for _ in range(2):  # the second time before anything runs
        with pytest.raises(ConfigError, match=r"accuracy.after_slep: the report of seed 1 .* 'accuracy.after_sleep'"):
            repeated(runs, (1, 2, 3), figures=["accuracy.after_slep"])
        assert runs.done == [1]
    found = repeated(runs, (1, 2, 3), figures=["accuracy.after_sleep", "steps.*"])
    assert runs.done == [1, 2, 3]
    assert {name.partition(".")[0] for name in found.figures} == {"accuracy", "steps"}


def test_a_headline_that_the_settings_leave_out_is_no_error(runs: Runs) -> None:
    runs.changed = {"controls": {}, "control_gains": {}, "control_intervals": {}}
    names = repeated(runs, (1, 2)).figures
    assert "spike_rate" in names and not any(name.startswith("control_gains") for name in names)


def test_a_repeat_runs_once_at_a_time_and_leaves_nothing_if_nothing_ran(runs: Runs) -> None:
    asked = ask(TARGET, (1,), ())
    with pytest.raises(DataError):
        runs.fails[1] = DataError("no images")
        repeat(asked, runs, lambda line: None)
    assert not asked.folder.exists()
    lock = FileLock(asked.folder / ".lock")
    assert lock.acquire()
    with pytest.raises(ConfigError, match="in use by process"):
        repeat(asked, runs, lambda line: None)
    lock.release()
    assert runs.done == []
