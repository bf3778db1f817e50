"""Many nights in one go: each a run of its own with facts of its own, the last one the month's."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.artifacts import list_runs, read_json, stage_results
from pipeline.config import load_config
from pipeline.errors import ConfigError
from pipeline.stages.memory import generations_of
from pipeline.stages.suite_files import read_suite
from tests.stages.nights import ScriptedNight

MONTH = ("tracking.enabled=false", "nights.count=3", "nights.facts=4")
TARGET = "consolidation/month"


def test_every_night_teaches_facts_of_its_own(scripted_night: ScriptedNight, artifact_root: Path) -> None:
    month = scripted_night.run(*MONTH, target=TARGET)
    nights = list_runs(artifact_root, deployment="nightly")
    assert sorted(run.run_id for run in nights) == [f"{month.run_id}-{n:02d}" for n in (1, 2)]
    assert {run.state for run in (*nights, month)} == {"done"}
    suites = [read_suite(stage_results(run)["teach"].path) for run in (*nights, month)]
    subjects = [fact.subject for suite in suites for fact in suite.taught]
    assert len(set(subjects)) == len(subjects) == 12
    stored = stage_results(month)["persist_store"].metrics
    assert stored["night"] == 3 and stored["folded"] == 1
    rows = generations_of(month, month.config()).current().table("episodes").to_pylist()  # type: ignore[union-attr]
    assert sorted(row["night"] for row in rows if row["consolidate"]) == [1] * 4 + [2] * 4 + [3] * 4
    replay = stage_results(month)["replay_sample"].metrics
    assert replay["samples"] == 12 and replay["known"]["samples"] == 8


def test_a_month_that_was_cut_short_goes_on_where_it_was(scripted_night: ScriptedNight, artifact_root: Path) -> None:
    first = scripted_night.run(*MONTH, "session=other", target=TARGET)
    digests = [stage_results(run)["teach"].digest for run in list_runs(artifact_root, deployment="nightly")]
    scripted_night.fail_in("lora_train", RuntimeError("killed"))
    with pytest.raises(RuntimeError, match="killed"):
        scripted_night.run(*MONTH, target=TARGET)
    (broken,) = [run for run in list_runs(artifact_root, deployment="month") if run.state == "failed"]
    again = ScriptedNight(pytest.MonkeyPatch())
    resumed = again.run(*MONTH, target=TARGET)
    assert resumed.run_id == broken.run_id and resumed.state == "done" != first.run_id
    assert read_json(resumed.path / "manifest.json")["resumed"] == 1
    nights = [run for run in list_runs(artifact_root, deployment="nightly") if run.run_id.startswith(resumed.run_id)]
    assert len(nights) == 2 and len(digests) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["fresh=true"], "many nights continue a store"),
        (["suite.name=facts"], "suite.name must be a generated suite"),
    ],
)
def test_a_month_continues_and_generates(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(TARGET, settings)


def test_a_night_alone_can_take_a_stretch_of_a_suite(scripted_night: ScriptedNight) -> None:
    whole, rest = (scripted_night.run("suite.n=6"), scripted_night.run("suite.n=4", "suite.skip=2"))
    taught = [[f.text for f in read_suite(stage_results(run)["teach"].path).taught] for run in (whole, rest)]
    assert taught[0][2:] == taught[1]
