"""``engram repeat`` on real digits, small: every seed as a run of its own."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from pipeline.artifacts import find_run, stage_results
from pipeline.cli.app import app
from pipeline.progress import Quiet
from pipeline.stages.night import begin
from tests.flows.test_columns import digits as digits  # skips this file too where there are none

TINY = (
    "dataset.max_train_samples=120",
    "training.epochs=1",
    "sleep.epochs=1",
    "evaluation.controls=none",
    "tracking.enabled=false",
)


def test_two_seeds_are_two_ordinary_runs_and_one_table(artifact_root: Path) -> None:
    from flows.columns import run_inline

    command = ["repeat", "columns/soft-sleep", "--seeds", "1-2", "--name", "tiny"]
    command += [part for setting in TINY for part in ("--set", setting)]
    first, again = (CliRunner().invoke(app, command, env={"COLUMNS": "80"}) for _ in range(2))
    assert first.exit_code == again.exit_code == 1, first.output  # so little training passes no guard
    assert first.output.count("wake_train") == 2 and "wake_train" not in again.output
    assert "\n┃figure" in first.output and "accuracy.before_sleep.task1_prime │" in first.output
    told = json.loads((artifact_root / "repeats" / "columns" / "soft-sleep" / "tiny" / "repeat.json").read_text())
    lowest = told["figures"]["accuracy.after_sleep (lowest)"]
    assert lowest["n"] == 2 and lowest["interval"][0] < lowest["mean"] < lowest["interval"][1]
    with begin("columns/soft-sleep", [*TINY, "seed=2"]) as alone:
        run_inline(alone, Quiet())
    within = find_run(told["runs"][1]["run_id"], artifact_root)
    assert within.run_id != alone.run.run_id
    assert stage_results(within)["evaluate"].digest == stage_results(alone.run)["evaluate"].digest
