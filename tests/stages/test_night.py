"""Whole nights: what they leave behind, what a second attempt repeats, what a failed guard does."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.artifacts import RunFolder, list_runs, read_json, read_table, stage_results
from pipeline.errors import ConfigError, TrainingError
from pipeline.report.build import load_report
from pipeline.sessions.champion import find_champion
from pipeline.stages.memory import open_store, reference_of
from pipeline.stages.night import configure, run_to_use
from pipeline.stages.registry import plan_run, stages_of
from pipeline.stages.suite_files import example_question, read_questions, read_suite
from pipeline.stores.episode import EPISODE_SCHEMA
from pipeline.suites.registry import build_suite
from tests.stages.examples import ignorant
from tests.stages.nights import SMALL, ScriptedNight
from tests.stores.examples import BagOfWords

NIGHT = stages_of("consolidation")
STAGES = NIGHT.names


def test_a_night_leaves_a_complete_report_and_a_champion(scripted_night: ScriptedNight, artifact_root: Path) -> None:
    run = scripted_night.run()
    report = load_report(run.path)
    assert run.state == "done"
    assert set(report.workers) == set(STAGES) and set(report.workers.values()) == {"inline"}
    assert set(report.timings) == set(STAGES) - {"report"}
    assert report.promoted and all(guard.passed for guard in report.guards)
    assert report.telemetry["gates.attempts"] == 6 and report.telemetry["store.size"] == 6
    assert report.telemetry["retrieval.requests"] == 40 and report.telemetry["replay.samples"] > 0
    assert report.suites["episodic"].n == 6 and report.suites["episodic"].ceiling == 1.0
    assert report.lora is not None and report.lora.tokens == 320 and report.device == "a scripted machine"
    for name in ("report.md", "report.html", "config.yaml"):
        assert (run.path / name).stat().st_size > 0
    champion = find_champion(artifact_root)
    assert champion is not None and champion.run is not None and champion.run.path == run.path
    question = example_question(run)
    assert question is not None and question.split == "test"


def test_a_failed_guard_leaves_the_champion_as_it_was(scripted_night: ScriptedNight, artifact_root: Path) -> None:
    first = scripted_night.run()
    scripted_night.answer_with(ignorant)
    second = scripted_night.run("seed=7")
    report = load_report(second.path)
    assert second.state == "done" and not report.promoted
    assert [guard.name for guard in report.guards if not guard.passed] == ["uplift"]
    champion = find_champion(artifact_root)
    assert champion is not None and champion.run is not None and champion.run.path == first.path


def test_without_tracking_nothing_is_promoted_and_the_guards_still_judge(
    scripted_night: ScriptedNight, artifact_root: Path
) -> None:
    report = load_report(scripted_night.run("tracking.enabled=false").path)
    assert all(guard.passed for guard in report.guards) and not report.promoted
    assert not (artifact_root / "mlflow").exists()


def test_an_interrupted_night_is_resumed_where_it_stopped(scripted_night: ScriptedNight, artifact_root: Path) -> None:
    scripted_night.fail_in("lora_train", TrainingError("the loss did not fall"))
    with pytest.raises(TrainingError):
        scripted_night.run("tracking.enabled=false")
    (broken,) = list_runs(artifact_root)
    assert broken.state == "failed" and set(stage_results(broken)) == set(STAGES[:4])
    generation = reference_of(stage_results(broken)["persist_store"])

    fresh = ScriptedNight(pytest.MonkeyPatch())
    run = fresh.run("tracking.enabled=false")
    assert run.path == broken.path and run.state == "done"
    assert reference_of(stage_results(run)["persist_store"]) == generation
    assert len(list((run.path / "memory").rglob("gen-*"))) == 1


def test_a_finished_run_is_never_reused(scripted_night: ScriptedNight) -> None:
    first = scripted_night.run("tracking.enabled=false")
    assert scripted_night.run("tracking.enabled=false").path != first.path
    with pytest.raises(ConfigError, match="finished"):
        scripted_night.run("tracking.enabled=false", run_id=first.run_id)


def test_from_takes_over_what_precedes_and_repeats_the_rest(scripted_night: ScriptedNight) -> None:
    first = scripted_night.run("tracking.enabled=false")
    scripted_night.called.clear()
    settings = [*SMALL, "tracking.enabled=false", "guards.uplift_min=0.9"]
    config = configure("consolidation/episodic", settings)
    plans = plan_run(run_to_use(config, None, "evaluate"), config, "evaluate")
    assert [plan.hit for plan in plans] == [True] * 5 + [False] * 3
    second = scripted_night.run("tracking.enabled=false", "guards.uplift_min=0.9", start="evaluate")
    results, before = stage_results(second), stage_results(first)
    assert second.path != first.path
    assert {name: results[name].digest for name in STAGES[:5]} == {name: before[name].digest for name in STAGES[:5]}
    assert read_json(second.path / "lora_train" / "manifest.json") == read_json(
        first.path / "lora_train" / "manifest.json"
    )
    store = open_store(second, results["persist_store"], config.store, BagOfWords())  # type: ignore[arg-type]
    assert len(store) == 6


def test_a_kill_while_stages_are_taken_over_leaves_nothing_half(
    scripted_night: ScriptedNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory comes first: stages without the store that they wrote could not be gone on from."""
    first = scripted_night.run("tracking.enabled=false")
    copied: list[str] = []

    def killed(origin: Path, part: Path) -> None:
        copied.append(origin.name)
        part.mkdir()
        if len(copied) == 3:
            raise KeyboardInterrupt
        shutil.copytree(origin, part, dirs_exist_ok=True)

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.stages.night.shutil", SimpleNamespace(copytree=killed, rmtree=shutil.rmtree))
        with pytest.raises(KeyboardInterrupt):
            scripted_night.run("tracking.enabled=false", start="evaluate")
    assert copied == ["memory", "teach", "persist_store"]
    second = scripted_night.run("tracking.enabled=false")
    assert second.path != first.path and not list(second.path.glob(".*.part"))
    results, before = stage_results(second), stage_results(first)
    assert results["teach"].digest == before["teach"].digest and set(results) == set(STAGES)


def test_an_unknown_stage_is_refused_before_anything_is_written(
    scripted_night: ScriptedNight, artifact_root: Path
) -> None:
    with pytest.raises(ConfigError, match="a night has: teach"):
        scripted_night.run(start="dream")
    assert not list_runs(artifact_root)


def test_a_copied_artifact_root_still_opens(scripted_night: ScriptedNight, artifact_root: Path, tmp_path: Path) -> None:
    run = scripted_night.run()
    moved = tmp_path / "elsewhere"
    os.rename(artifact_root, moved)
    copied = RunFolder.at(moved / run.path.relative_to(artifact_root))
    config = copied.config()
    store = open_store(copied, stage_results(copied)["persist_store"], config.store, BagOfWords())  # type: ignore
    assert len(store) == 6
    champion = find_champion(moved)
    assert champion is not None and champion.adapter == copied.path / "lora_train" / "adapter"


def test_training_reads_no_test_question(scripted_night: ScriptedNight) -> None:
    run = scripted_night.run("tracking.enabled=false")
    results = stage_results(run)
    suite = read_suite(results["teach"].path)
    tests = {q.question for fact in suite.taught for q in fact.asked("test")}
    for spec in NIGHT.order:
        if spec.name in ("replay_sample", "sleep_distil", "lora_train"):
            assert "teach" not in spec.reads
    reference = reference_of(results["persist_store"])
    episodes = reference.store(run).generation(reference.generation).table("episodes", EPISODE_SCHEMA)
    shown = " ".join(episodes.column("forms").to_pylist() + episodes.column("text").to_pylist())
    assert tests and not any(question in shown for question in tests)
    candidates = read_table(results["teach"].path / "candidates.parquet", EPISODE_SCHEMA)
    assert not any(question in " ".join(candidates.column("forms").to_pylist()) for question in tests)


def test_a_suite_survives_its_files(scripted_night: ScriptedNight) -> None:
    run = scripted_night.run("tracking.enabled=false")
    config = configure("consolidation/episodic", SMALL)
    folder = stage_results(run)["teach"].path
    suite = build_suite(config.suite, config.seed)
    assert read_suite(folder) == suite
    assert read_questions(folder, "probe") == tuple(q for fact in suite.taught for q in fact.asked("probe"))
