"""What `engram status` tells of the newest run, whatever became of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.artifacts import open_run, stage, write_json
from pipeline.cli.app import app
from pipeline.config import ConsolidationConfig
from pipeline.services.last_night import last_night
from tests.report.examples import IDENTITY, answered, make_report

SUITE, ANSWERS = answered()


def finished(root: Path, run_id: str, **changes: object) -> None:
    with open_run(ConsolidationConfig(root=root), run_id) as run, stage(run, "teach", inputs={}, config={}) as first:
        first.metrics = {}
    report = make_report(SUITE, ANSWERS, identity=IDENTITY.model_copy(update={"run_id": run_id}), **changes)
    write_json(run.path / "report.json", report.to_json())


def test_nothing_ran_yet(artifact_root: Path) -> None:
    assert last_night(artifact_root) is None


def test_a_finished_night_stands_beside_the_one_before(artifact_root: Path) -> None:
    finished(artifact_root, "one")
    finished(artifact_root, "two", promoted=False)
    night = last_night(artifact_root)
    assert night is not None
    assert (night.name, night.state) == ("consolidation/episodic/two", "done")
    assert night.verdict.startswith("not promoted")
    figures = {figure.title: figure for figure in night.figures}
    report = make_report(SUITE, ANSWERS)
    assert figures["EM, taught phrasings"].value == figures["EM, taught phrasings"].before == report.arms["post_off"].em
    assert figures["memories in the store"].value == 20
    assert night.next_step == "engram compare one two"
    shown = CliRunner().invoke(app, ["status"])
    assert shown.exit_code == 0 and "Last night" in shown.output and "not promoted" in shown.output


def test_a_failed_night_says_why_and_how_to_go_on(artifact_root: Path) -> None:
    with pytest.raises(RuntimeError), open_run(ConsolidationConfig(root=artifact_root), "broken") as run:
        with stage(run, "teach", inputs={}, config={}):
            pass
        raise RuntimeError("no space left on device\nmore")
    night = last_night(artifact_root)
    assert night is not None and night.state == "failed"
    assert night.verdict == "failed after 1 of 8 stages: no space left on device"
    assert night.next_step == "engram run consolidation/episodic --run-id broken"


def test_a_killed_night_is_interrupted_and_a_living_one_runs(artifact_root: Path) -> None:
    run = open_run(ConsolidationConfig(root=artifact_root), "living")
    night = last_night(artifact_root)
    assert night is not None and (night.state, night.verdict) == ("running", "at work, 0 of 8 stages")
    run.release()  # as the kernel does for a killed process
    night = last_night(artifact_root)
    assert night is not None and night.state == "interrupted" and "--run-id living" in night.next_step
