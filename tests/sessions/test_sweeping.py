"""A sweep of scripted nights: what runs, what is not run again, what fails, and that no champion is shared."""

from __future__ import annotations

import csv
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from pipeline.artifacts import FileLock, RunFolder, StageResult, list_runs, read_table
from pipeline.cli.nights import perform
from pipeline.config import ConsolidationConfig, config_root
from pipeline.config.sweeps import SweepConfig, VariantConfig, load_sweep
from pipeline.errors import ConfigError, TrainingError
from pipeline.evaluation.arms import Ask
from pipeline.progress import Progress
from pipeline.replay.earlier import NIGHT_SCHEMA
from pipeline.report.sweep import Sweep
from pipeline.sessions.sweeping import AskedSweep, Point, ask_sweep, sweep
from pipeline.suites.episodic import build_episodic
from pipeline.suites.events import blocks
from tests.evaluation.examples import Reply, scripted
from tests.stages.examples import sleep_distil
from tests.stages.nights import ScriptedNight

SMALL = {"suite.n": 4, "suite.profile": "easy", "evaluation.bootstrap": 50, "tracking.enabled": False}
SWEEPS = sorted(path.stem for path in (config_root() / "sweeps").glob("*.yaml"))


class Runs:
    """Does runs with scripted stages, and remembers them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.night = ScriptedNight(monkeypatch)
        self.done: list[tuple[str, int]] = []
        self.gpus: list[str | None] = []
        self.fails: dict[str, BaseException] = {}

    def __call__(self, point: Point, gpu: str | None) -> None:
        self.gpus.append(gpu)
        if point.variant in self.fails:
            raise self.fails[point.variant]
        perform(Console(quiet=True), point.config, point.overrides, quiet=True)
        self.done.append((point.variant, point.seed))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(monkeypatch)


def config(**changed: Any) -> SweepConfig:
    variants = {"default": VariantConfig(), "low-rank": VariantConfig(settings={"lora.rank": 2})}
    given = {"title": "Ranks", "target": "consolidation/episodic", "settings": SMALL, "seeds": (1, 2)}
    return SweepConfig(**({"variants": variants} | given | changed))


def done(asked: AskedSweep, runs: Runs, **options: Any) -> Sweep:
    return sweep(asked, runs, lambda line: None, **options)


def rows(asked: AskedSweep) -> dict[str, dict[str, str]]:
    with (asked.folder / "sweep.csv").open(newline="") as file:
        return {row["variant"]: row for row in csv.DictReader(file)}


def test_every_variant_runs_once_a_seed_and_the_second_time_nothing_does(runs: Runs, artifact_root: Path) -> None:
    asked = ask_sweep("ranks", config())
    found = done(asked, runs)
    assert runs.done == [("default", 1), ("default", 2), ("low-rank", 1), ("low-rank", 2)]
    assert not list_runs(artifact_root)  # none where ordinary runs lie
    assert {path.name for path in asked.folder.iterdir()} == {
        ".lock", "default", "low-rank", "sweep.csv", "sweep.md", "sweep.svg", "sweep.png",
    }  # fmt: skip
    told = rows(asked)["low-rank"]
    assert (told["held_out"], told["seeds"], told["settings"]) == ("1.0", "1 2", "lora.rank=2")
    assert (told["tokens"], told["kl"], told["all_nights"]) == ("320.0", "0.01", "")
    assert {run.report.seed for variant in found.variants for run in variant.runs} == {1, 2}
    assert {run.report.lora.rank for run in found.variants[1].runs if run.report.lora} == {2}
    before = (asked.folder / "sweep.csv").read_bytes(), (asked.folder / "sweep.svg").read_bytes()
    assert done(ask_sweep("ranks", config()), runs) == found and len(runs.done) == 4
    assert ((asked.folder / "sweep.csv").read_bytes(), (asked.folder / "sweep.svg").read_bytes()) == before
    done(ask_sweep("ranks", config(), seeds=(2, 3), only=("low-rank",)), runs)
    assert runs.done[4:] == [("low-rank", 3)]
    done(ask_sweep("ranks", config(), settings=("lora.epochs=3",), seeds=(1,)), runs)
    assert runs.done[5:] == [("default", 1), ("low-rank", 1)]


@pytest.mark.parametrize("error", [TrainingError("B is still zero"), ZeroDivisionError("division by zero")])
def test_a_run_that_cannot_finish_is_reported_and_the_others_go_on(runs: Runs, error: Exception) -> None:
    runs.fails["default"] = error
    asked = ask_sweep("ranks", config(seeds=(1,)))
    found = done(asked, runs)
    assert runs.done == [("low-rank", 1)]
    assert len(found.failures) == 1 and found.failures[0].startswith("default, seed 1: ")
    assert str(error) in found.failures[0] and str(error) in rows(asked)["default"]["failed"]
    assert rows(asked)["default"]["held_out"] == "" and rows(asked)["low-rank"]["held_out"] == "1.0"
    kept = list(asked.folder.rglob("traceback.txt"))
    assert len(kept) == isinstance(error, ZeroDivisionError)
    runs.fails.clear()
    assert not done(asked, runs).failures and runs.done[1:] == [("default", 1)]


def test_a_random_gate_trains_as_many_messages_and_the_gain_over_it_has_an_interval(runs: Runs) -> None:
    """A scripted night knows what it trained: of the facts among the messages, held-out EM is the share kept."""
    small = SMALL | {"suite.name": "messages", "suite.n": 12, "gate.enforce": True}
    variants = {
        "gated": VariantConfig(baseline="random"),
        "random": VariantConfig(settings={"gate.random": True, "replay.policy": "uniform"}),
    }
    asked = ask_sweep("gate", config(settings=small, seeds=(1,), variants=variants))
    trained: list[set[str]] = []

    def knows_what_it_replayed(ask: Ask) -> Reply:
        known = ask.arm != "post_off_heldout" or ask.question.item_id in trained[-1]
        return scripted(ask) if known else Reply("Somewhere.")

    def distil(
        run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress
    ) -> StageResult:
        replay = read_table(inputs["replay_sample"].path / "replay.parquet", NIGHT_SCHEMA)
        trained.append(set(replay.column("episode_id").to_pylist()))
        return sleep_distil(run, config, inputs, progress)

    runs.night.answer_with(knows_what_it_replayed)
    runs.night.put("sleep_distil", distil)
    found = done(asked, runs)
    gated, random = trained
    facts = {fact.id for fact in build_episodic(12, 1, "easy").taught}
    assert len(gated) == len(random) >= 12 and facts <= gated and not facts <= random
    told = rows(asked)["gated"]
    assert float(told["gain"]) == pytest.approx(1 - len(facts & random) / 12)
    assert 0 < float(told["gain_low"]) < float(told["gain"]) < float(told["gain_high"]) <= 1
    assert rows(asked)["random"]["gain"] == "" and told["pinned_and_rewarded"] == "1.0"
    assert ", random |" in (asked.folder / "sweep.md").read_text()
    assert found.gain(found.variants[0]) is not None
    again = ask_sweep("gate", config(settings=small, seeds=(1,), variants=variants), only=("gated",))
    assert rows(again)["gated"]["gain"] and done(again, runs).gain(done(again, runs).variants[0]) is None


def test_a_baseline_is_another_variant() -> None:
    with pytest.raises(ValidationError, match=r"a\.baseline: expected one of b, found 'c'"):
        config(variants={"a": VariantConfig(baseline="c"), "b": VariantConfig()})
    with pytest.raises(ValidationError, match="found 'a'"):
        config(variants={"a": VariantConfig(baseline="a"), "b": VariantConfig()})


def test_ctrl_c_keeps_what_is_finished(runs: Runs) -> None:
    runs.fails["low-rank"] = KeyboardInterrupt()
    asked = ask_sweep("ranks", config(seeds=(1,)))
    with pytest.raises(KeyboardInterrupt):
        done(asked, runs)
    assert rows(asked)["default"]["seeds"] == "1"
    runs.fails.clear()
    done(asked, runs)
    assert runs.done == [("default", 1), ("low-rank", 1)]


def test_months_go_on_from_nobody_but_themselves_and_count_every_night(runs: Runs) -> None:
    months = {
        name: VariantConfig(
            target="consolidation/month",
            settings={"nights.count": 2, "nights.facts": 4, "replay.known_items": known, "tracking.uri": "sqlite:///x"},
        )
        for name, known in (("none", 0), ("all", None))
    } | {"joint": VariantConfig(settings={"suite.n": 8})}
    months["all"].settings["mirror.url"] = "file:///x"
    asked = ask_sweep("months", config(seeds=(1,), variants=months))
    assert {point.config.mirror.url for point in asked.points} == {None}
    assert [point.config.tracking.uri is None for point in asked.points] == [True, True, False]
    found = done(asked, runs)
    assert not found.failures
    for variant in found.variants:
        (run,) = variant.runs
        nights = 1 if variant.name == "joint" else 2
        assert run.tokens == 320 * nights  # a scripted night trains 320
    point = asked.points[1]
    assert len(list_runs(point.config.root)) == 2


def test_several_at_a_time_are_spread_over_the_gpus(runs: Runs) -> None:
    met = threading.Barrier(2, timeout=60)

    def run_point(point: Point, gpu: str | None) -> None:
        met.wait()  # breaks, and fails the run, unless two are in here at once
        runs.gpus.append(gpu)

    found = sweep(ask_sweep("ranks", config()), run_point, lambda line: None, jobs=2, gpus=("4", "7"))
    assert sorted(map(str, runs.gpus)) == ["4", "4", "7", "7"]
    assert len(found.failures) == 4 and all("left no finished run" in failure for failure in found.failures)


def test_an_axis_is_read_from_the_settings(runs: Runs) -> None:
    sizes = {f"n-{n}": VariantConfig(settings={"suite.n": n}) for n in (2, 4)}
    found = done(ask_sweep("sizes", config(seeds=(1,), variants=sizes, axis="suite.n")), runs)
    assert [variant.axis for variant in found.variants] == [2.0, 4.0]


@pytest.mark.parametrize(
    ("changed", "options", "words"),
    [
        ({"variants": {"a": VariantConfig(settings={"lora.rnak": 2})}}, {}, "variant a: .*did you mean 'lora.rank'"),
        ({"target": "columns/soft-sleep", "settings": {}, "variants": {"a": VariantConfig()}}, {}, "flow consolid"),
        ({"axis": "model.name"}, {}, "axis model.name: expected a setting that is a number"),
        ({}, {"only": ("rank-2",)}, "unknown variant 'rank-2'; ranks has: default, low-rank"),
        ({}, {"settings": ("seed=3",)}, "takes its seeds from"),
        ({}, {"settings": ("lora.rank=none",)}, "lora.rank"),
    ],
)
def test_what_can_be_known_is_refused_before_anything_runs(
    changed: dict[str, Any], options: dict[str, Any], words: str, artifact_root: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        ask_sweep("ranks", config(**changed), **options)
    assert not list(artifact_root.iterdir())


def test_a_sweep_runs_once_at_a_time(runs: Runs) -> None:
    asked = ask_sweep("ranks", config())
    lock = FileLock(asked.folder / ".lock")
    assert lock.acquire()
    with pytest.raises(ConfigError, match="in use by process"):
        done(asked, runs)
    lock.release()


@pytest.mark.parametrize("name", SWEEPS)
def test_every_shipped_sweep_is_valid_and_no_two_variants_are_the_same(name: str) -> None:
    stem, loaded = load_sweep(name)
    asked = ask_sweep(stem, loaded)
    assert len({point.config.root for point in asked.points}) == len(asked.points)
    hashes = [point.config.root.name for point in asked.points]  # seed and configuration
    assert len(set(hashes)) == len(hashes) and len(loaded.seeds) >= 3


def test_the_largest_night_of_the_capacity_sweep_can_be_generated() -> None:
    points = ask_sweep(*load_sweep("capacity")).points
    largest = max(points, key=lambda point: point.config.suite.n).config
    assert largest.replay.max_items >= largest.suite.n
    assert largest.suite.n == 3000 == len(blocks(largest.suite.n, 4711))


def test_an_unknown_sweep_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown sweep 'ablation'; .*ablations, capacity"):
        load_sweep("ablation")
