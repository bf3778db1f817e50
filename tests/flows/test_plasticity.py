"""The flow ``plasticity`` on real digits, small: figures, resume, and what test images may decide."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from flows.plasticity import run_inline
from pipeline.artifacts import RunFolder, stage_results
from pipeline.config import deployments
from pipeline.errors import ConfigError, DataError
from pipeline.plasticity.competitive import CompetitiveLearner
from pipeline.plasticity.learner import PlasticLearner
from pipeline.plasticity.report.schema import PlasticityReport
from pipeline.plasticity.variants import COMPETITIVE, VARIANTS
from pipeline.progress import Quiet
from pipeline.report.base import read_report
from pipeline.stages.night import begin

STDP = "plasticity/stdp-only"
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

SMALL_STDP = (
    "stream.train_images=800",
    "stream.validation_images=500",
    "unsupervised.neurons=40",
    "unsupervised.labelled_images=400",
    "evaluation.test_images=300",
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
    small = SMALL_STDP if target == STDP else SMALL
    with begin(target, [*small, *overrides], **options) as begun:
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
    assert {plot.stem for plot in (run.path / "plots").iterdir()} == {
        "matrix",
        "forgetting",
        "confusion",
        "baselines",
        "ablations",
    }
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


def test_stdp_alone_learns_compares_is_promoted_and_reports() -> None:
    limits = ("guards.average_accuracy_min=0.5", "tracking.enabled=true")
    run = night(*limits, target=STDP)
    report = read_report(PlasticityReport, run.path)
    assert report.accuracy == {"after_1": {"1": report.average_accuracy}, "after_sleep": {"1": report.average_accuracy}}
    assert report.average_accuracy > report.baselines["untrained"].average_accuracy + 0.1
    assert report.baselines["chance"].average_accuracy < 0.2
    assert set(report.baselines) | set(report.ablations) == set(COMPETITIVE)
    assert report.forgetting == 0 and report.backward_transfer is None and report.forward_transfer is None
    assert report.active_neurons is not None and 10 < report.active_neurons <= 40
    assert report.buffer.rows == 0 and report.steps == 16 and "No sleep" in report.notes[0]
    assert [guard.name for guard in report.guards] == ["average_accuracy"] and report.promoted
    plots = {"receptive_fields", "confusion", "baselines", "ablations"}
    assert {plot.stem for plot in (run.path / "plots").iterdir()} == plots
    page = (run.path / "report.html").read_text()
    assert "What neurons respond to" in page and "No sleep" in page and "Backward transfer" not in page
    again = night("evaluation.controls=none", target=STDP, run_id="again")
    for learned in ("wake_train/after_1.safetensors", "sleep_distil/after_sleep.safetensors"):
        assert (again.path / learned).read_bytes() == (run.path / learned).read_bytes()


def test_stdp_alone_that_was_cut_short_repeats_nothing_that_was_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    wake, learned = CompetitiveLearner.wake, []

    def cut(learner: CompetitiveLearner, *rest: Any) -> None:
        learned.append(learner.config.competition)
        if learned == [True, True, False]:
            raise KeyboardInterrupt
        wake(learner, *rest)

    monkeypatch.setattr(CompetitiveLearner, "wake", cut)
    with pytest.raises(KeyboardInterrupt):
        night(target=STDP, run_id="cut-stdp")
    resumed = night(target=STDP, run_id="cut-stdp")
    assert resumed.state == "done" and learned == [True, True, False, False]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.hidden_dim=60", "learner=competitive reads no section model: leave out model.hidden_dim"),
        ("sleep.epochs=2", "set sleep.epochs=0"),
        ("sleep.shift=1", "set sleep.epochs=0"),
        ("stream.tasks=5", "set stream.tasks=1"),
        ("guards.forgetting_max=0.2", "a single task"),
        ("learner=liquid", "learner=liquid reads no section unsupervised: leave out unsupervised.neurons"),
        ("unsupervised.neuron=3", "did you mean 'unsupervised.neurons'"),
        ("unsupervised.spikes=0", "greater than 0"),
    ],
)
def test_stdp_alone_refuses_what_it_does_not_read(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        night(override, target=STDP)


def test_too_many_validation_images_leave_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="leave none to learn from"):
        night("stream.validation_images=60000", target=STDP)


@pytest.mark.parametrize("deployment", deployments("plasticity"))
def test_every_deployment_runs(deployment: str) -> None:
    target = f"plasticity/{deployment}"
    few = ("evaluation.controls=none",) if target == STDP else ("sleep.epochs=1",)
    run = night("stream.train_images=64", *few, target=target)
    report = read_report(PlasticityReport, run.path)
    assert run.state == "done" and len(report.tasks) == {"permuted-mnist": 10, "stdp-only": 1}.get(deployment, 5)


def test_stdp_alone_and_the_liquid_network_learn_other_images_in_one_task() -> None:
    clothes = night("stream.dataset=fashion-mnist", "evaluation.controls=none", target=STDP)
    joint = night("stream.scenario=joint", "stream.tasks=1")
    for run, least in ((clothes, 0.4), (joint, 0.3)):
        report = read_report(PlasticityReport, run.path)
        assert report.tasks == ["1"] and report.average_accuracy > least
