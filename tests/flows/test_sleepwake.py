"""The flow ``sleepwake``, small: figures, resume, store generations, guards, every deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.sleepwake import run_inline
from pipeline.artifacts import RunFolder, read_json, read_table, stage_results
from pipeline.config import SleepWakeConfig, deployments, load_config
from pipeline.errors import ConfigError
from pipeline.progress import Quiet
from pipeline.report.base import read_report
from pipeline.sleepwake import codebook_measures
from pipeline.sleepwake.codebook import load_codebook
from pipeline.sleepwake.controls import ABOUT
from pipeline.sleepwake.cycles import Life
from pipeline.sleepwake.maze import draw_walks, render
from pipeline.sleepwake.report.schema import SleepWakeReport
from pipeline.sleepwake.stages.evaluate import ANSWERS_SCHEMA
from pipeline.sleepwake.surprise_store import SCHEMA_NAME
from pipeline.stages.night import begin

TINY = (
    "device=cpu",
    "model.width=16",
    "model.layers=2",
    "model.heads=2",
    "model.hidden=32",
    "model.context=64",
    "model.window=16",
    "model.titans.dimension=16",
    "pretrain.steps=3",
    "pretrain.text_length=32",
    "pretrain.streams=1",
    "pretrain.stream.length=128",
    "pretrain.stream.facts=3",
    "pretrain.stream.asked=2",
    "pretrain.arithmetic_problems=20",
    "patches.target=2.0",
    "episodes.cycles=2",
    "episodes.facts=6",
    "episodes.guard_facts=3",
    "episodes.examined=1",
    "episodes.per_stream=4",
    "episodes.length=128",
    "surprise.calibration=1",
    "surprise.rate=0.5",
    "sleep.steps=4",
    "sleep.probe_every=2",
    "sleep.text_length=32",
    "sleep.text_pool=8",
    "sleep.pseudo_pool=8",
    "sleep.stream.length=128",
    "sleep.stream.facts=3",
    "sleep.stream.asked=2",
    "sleep.stream_pool=4",
    "sleep.probe_bytes=512",
    "evaluation.recall_streams=2",
    "evaluation.arithmetic=5",
    "evaluation.gap_session=32",
    "evaluation.resamples=100",
    "tracking.enabled=false",
)


@pytest.fixture(autouse=True)
def small_text(tmp_path: Path) -> Path:
    """Plays of a few words: letters in them are as sure as they ever get."""
    path = tmp_path / "plays.txt"
    path.write_text("Speak, speak, good night.\nThe sun is up and the day is done.\n" * 2000)
    return path


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots are half of a tiny run's time: one test draws them."""
    if request.node.name != "test_a_run_lives_sleeps_compares_and_reports":
        monkeypatch.setattr("pipeline.sleepwake.report.write.draw", lambda report, courses: {})


@pytest.fixture
def night(small_text: Path) -> Any:
    def lived(*overrides: str, target: str = "sleepwake/tiny", **options: Any) -> RunFolder:
        with begin(target, [*TINY, f"text.path={small_text}", *overrides], **options) as begun:
            run_inline(begun, Quiet())
        return begun.run

    return lived


def test_a_run_lives_sleeps_compares_and_reports(night: Any) -> None:
    run = night("evaluation.controls=full", "evaluation.passkey=[96, 600]", "tracking.enabled=true")
    told, report = read_json(run.path / "report.json"), read_report(SleepWakeReport, run.path)
    assert told["byte_lm"]["nats"] > 0 and told["patcher"]["mean_patch"] > 1 and told["svf"]["identity_error"] < 1e-5
    assert told["sleep"]["facts"] == 6 and 0 <= told["sleep"]["recall_after"] <= 1 and told["seed"] == 1337
    assert set(told["retention"]) == {"1"} and set(told["gap"]) == {"1", "2", "4", "8", "16"}
    assert set(told["controls"]) == set(ABOUT) and told["controls"]["no_sleep"]["recall"] == 0
    assert set(told["interference"]) == {"latest", "intrusions"} and "base" in told["drift"]
    assert set(told["passkey"]) == {"96", "600"} and set(told["passkey"]["96"]) == {"with_memory", "without"}
    assert set(told["controls"]["replay_only"]["retention"]) == {"1"}
    names = [
        "pretrain_byte_lm",
        "pretrain_codebook",
        "generate_episodes",
        "wake",
        "sleep",
        "later_cycles",
        "evaluate",
        "promote",
    ]
    assert list(told["timings"]) == names
    assert [guard["name"] for guard in told["guards"]] == ["nats", "memory_gain", "recall", "retention", "drift"]
    assert not report.promoted and len(told["cycles"]) == 1
    plots = {plot.stem for plot in (run.path / "plots").iterdir()}
    assert plots == {"sleep", "retention", "gap", "drift", "weights", "patches", "pretraining"}


def test_the_store_is_published_as_generations_of_its_own_schema(night: Any) -> None:
    run = night("evaluation.controls=none")
    store = run.path / "memory" / "default" / "surprises"
    tables = [read_table(path / "surprises.parquet", SCHEMA_NAME) for path in sorted(store.glob("gen-*"))]
    results = stage_results(run)
    assert [table.num_rows for table in tables] == [
        results[name].metrics["rows"] for name in ("wake", "sleep", "later_cycles")
    ]
    assert tables[0].num_rows > 0 and set(tables[0].column("age").to_pylist()) == {0}
    assert set(tables[1].column("age").to_pylist()) <= {1}


def test_every_model_is_asked_every_fact_once(night: Any) -> None:
    run = night("evaluation.controls=none")
    rows = read_table(stage_results(run)["evaluate"].path / "answers.parquet", ANSWERS_SCHEMA).to_pylist()
    by_model = {name: {row["key"] for row in rows if row["model"] == name} for name in ("base", "cycle_0", "cycle_1")}
    assert len(rows) == 3 * len(by_model["base"]) and len(set(map(frozenset, by_model.values()))) == 1
    rebound = {row["model"]: row["answer"] for row in rows if row["kind"] == "interference"}
    assert rebound["cycle_0"] != rebound["cycle_1"]


def test_days_that_were_cut_short_go_on_to_the_same_bytes(night: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("evaluation.controls=none", "episodes.cycles=3")
    plain = night(*few, run_id="plain")
    slept = Life.night

    def cut(life: Life, cycle: int, *rest: Any) -> Any:
        if cycle == 2:
            raise KeyboardInterrupt
        return slept(life, cycle, *rest)

    monkeypatch.setattr(Life, "night", cut)
    with pytest.raises(KeyboardInterrupt):
        night(*few, run_id="cut")
    monkeypatch.setattr(Life, "night", slept)
    resumed = night(*few, run_id="cut")
    for name in ("model_1.safetensors", "model_2.safetensors"):
        files = [stage_results(run)["later_cycles"].path / name for run in (plain, resumed)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_reported_answers_decide_nothing(night: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = night("evaluation.controls=none")
    measured = read_json(stage_results(run)["evaluate"].path / "metrics.json")["guard_figures"]
    monkeypatch.setattr("pipeline.sleepwake.stages.evaluate.asked_rows", _wrong)
    other = night("evaluation.controls=none", run_id="other")
    assert read_json(stage_results(other)["evaluate"].path / "metrics.json")["guard_figures"] == measured


def _wrong(model: Any, name: str, facts: Any, cycle: int) -> list[dict[str, Any]]:
    from pipeline.sleepwake.measures import asked_rows

    return [row | {"right": True} for row in asked_rows(model, name, facts, cycle)]


CODEBOOK = "{codes: 8, dimension: 4, width: 8, blocks: 0, steps: 20, warmup: 5, batch: 16, validation: 100}"


def test_a_component_that_is_asked_for_is_measured_and_reported(night: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = render(draw_walks(0, "train", 1, 240).boards[:, 0])
    monkeypatch.setattr(codebook_measures, "_images", lambda config, part: pictures)
    settings = ("evaluation.controls=none", "episodes.cycles=1")
    without = night(*settings)
    assert read_json(without.path / "report.json")["parts"] == {}
    assert stage_results(without)["pretrain_codebook"].metrics == {"trained": False}
    run = night(*settings, 'parts.measured=["codebook"]', f"parts.codebook={CODEBOOK}")
    told, trained = read_json(run.path / "report.json"), stage_results(run)["pretrain_codebook"].metrics
    assert told["codebook"] == {"usage": told["parts"]["codebook"]["usage"]}
    assert trained["trained"] and trained["seconds"] > 0
    part = load_config("sleepwake/tiny", [f"parts.codebook={CODEBOOK}"]).parts.codebook
    book = load_codebook(part, stage_results(run)["pretrain_codebook"].path / "codebook.safetensors", "cpu")
    figures = codebook_measures.held_out_figures(book, codebook_measures.images_of(part).validation, "cpu")
    assert told["parts"]["codebook"]["validation_error"] == figures["error"] > 0


def test_a_delayed_start_waits_with_everything_for_the_first_sleep(night: Any) -> None:
    run = night("evaluation.controls=none", "sleep.first_cycle=1")
    told = read_json(run.path / "report.json")
    assert told["sleep"]["facts"] == 12 and told["retention"] == {} and told["cycles"] == []
    assert told["guards"][3] == {"name": "retention", "value": None, "threshold": 0.8, "passed": False}


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("{9: {steps: 2}}", "schedule: 9 is none of episodes.cycles"),
        ("{1: {step: 2}}", "schedule.1.step"),
        ("{1: {steps: 0}}", "schedule.1.steps"),
        ("{1: {first_cycle: 1}}", "sleep.first_cycle says when sleeps begin"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused(schedule: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config("sleepwake/tiny", [f"schedule={schedule}"])


@pytest.mark.parametrize("deployment", deployments("sleepwake"))
def test_every_deployment_is_a_valid_configuration(deployment: str) -> None:
    config = load_config(f"sleepwake/{deployment}")
    assert isinstance(config, SleepWakeConfig) and config.deployment == deployment
