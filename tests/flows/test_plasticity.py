"""The flow ``plasticity`` on real digits, small: figures, resume, and what test images may decide."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from flows.plasticity import run_inline
from pipeline.artifacts import RunFolder, stage_results
from pipeline.config import deployments
from pipeline.plasticity.learner import PlasticLearner
from pipeline.plasticity.report.schema import PlasticityReport
from pipeline.plasticity.variants import VARIANTS
from pipeline.progress import Quiet
from pipeline.report.base import read_report
from pipeline.stages.night import begin

SMALL = (
    "stream.train_images=300",
    "stream.validation_images=1000",
    "model.hidden_dim=60",
    "model.spiking_units=40",
    "model.liquid_units=8",
    "model.num_spike_steps=4",
    "model.learning_rate=4e-3",
    "model.replay_buffer_size=100",
    "sleep.epochs=8",
    "sleep.learning_rate=4e-3",
    "evaluation.test_images=150",
    "evaluation.controls=none",
    "tracking.enabled=false",
)


@pytest.fixture(scope="module", autouse=True)
def digits() -> None:
    """Real images; without them the test is skipped, in CI it fails."""
    root = os.environ.get("ENGRAM_DATA")
    if root is None or not (Path(root) / "mnist").is_dir():
        if os.environ.get("CI"):
            pytest.fail("MNIST is not below $ENGRAM_DATA, and CI must have it")
        pytest.skip("MNIST is not below $ENGRAM_DATA")


def night(*overrides: str, target: str = "plasticity/split-mnist", **options: Any) -> RunFolder:
    with begin(target, [*SMALL, *overrides], **options) as begun:
        run_inline(begun, Quiet())
    return begun.run


def test_a_night_learns_compares_and_reports() -> None:
    run = night("evaluation.controls=full", "tracking.enabled=true")
    report = read_report(PlasticityReport, run.path)
    assert list(report.accuracy) == ["after_1", "after_2", "after_3", "after_4", "after_5", "after_sleep"]
    assert report.average_accuracy > report.baselines["naive"].average_accuracy + 0.2
    assert set(report.baselines) | set(report.ablations) == set(VARIANTS)
    assert all(told.on == report.average_accuracy for told in report.ablations.values())
    assert 0 < report.spike_rate < 1 and report.buffer.rows == 100 and min(report.buffer.by_task.values()) == 20
    assert {plot.stem for plot in (run.path / "plots").iterdir()} == {"matrix", "forgetting", "baselines", "ablations"}
    assert (run.path / "report.html").stat().st_size > 50_000


def test_a_day_that_was_cut_short_goes_on_with_the_next_task(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, wake, learned = night(run_id="plain"), PlasticLearner.wake, []

    def cut(learner: PlasticLearner, *rest: Any) -> None:
        if len(learned) == 2:
            learned.append("cut")
            raise KeyboardInterrupt
        learned.append(learner.tasks)
        wake(learner, *rest)

    monkeypatch.setattr(PlasticLearner, "wake", cut)
    with pytest.raises(KeyboardInterrupt):
        night(run_id="cut")
    resumed = night(run_id="cut")
    assert learned == [0, 1, "cut", 2, 3, 4]
    assert stage_results(resumed)["evaluate"].digest == stage_results(plain)["evaluate"].digest


@pytest.mark.parametrize("deployment", deployments("plasticity"))
def test_every_deployment_runs(deployment: str) -> None:
    run = night("stream.train_images=64", "sleep.epochs=1", target=f"plasticity/{deployment}")
    report = read_report(PlasticityReport, run.path)
    assert run.state == "done" and len(report.tasks) == (10 if deployment == "permuted-mnist" else 5)
