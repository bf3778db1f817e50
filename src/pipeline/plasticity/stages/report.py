"""Stage ``report``: everything that was measured, as report.json, report.md, report.html, plots and in MLflow."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from pipeline.artifacts import RunFolder, StageResult, read_json, read_table
from pipeline.config import dump_config
from pipeline.config.liquid import PlasticityConfig
from pipeline.plasticity.learners import new_learner
from pipeline.plasticity.report.plots import Learned
from pipeline.plasticity.report.schema import MEASURED, PlasticityReport
from pipeline.plasticity.report.write import write_plasticity_report
from pipeline.plasticity.stages.evaluate import ANSWERS_SCHEMA
from pipeline.plasticity.stages.sleep_distil import STATE
from pipeline.plasticity.stages.wake_train import STEPS_SCHEMA
from pipeline.progress import Progress
from pipeline.report.base import checked
from pipeline.stages.registration import cost_of, identity_of_run, record_files, track
from pipeline.stages.registry import opened
from pipeline.tracking import open_tracker


def run(run: RunFolder, config: PlasticityConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: All earlier stages.
        progress: Reports parts of the work.

    Raises:
        ArtifactError: A figure that the contract asks for is missing.
    """
    with opened(run, config, "report", inputs) as stage:
        if stage.hit:
            return stage.result
        progress.phase("writing the report")
        report = night_report(run, config, inputs)
        files = write_plasticity_report(run.path, report, _learned(config, inputs), dump_config(config).decode())
        progress.phase("logging to MLflow")
        tracked = track(open_tracker(config, run.path), run, report.to_json(), _steps(inputs), files)
        record_files(stage, run, files, report.promoted, tracked)
    return stage.result


def night_report(run: RunFolder, config: PlasticityConfig, inputs: Mapping[str, StageResult]) -> PlasticityReport:
    """Put the report together from what the stages measured."""
    measured = read_json(inputs["evaluate"].path / "metrics.json")
    verdict, stored = inputs["promote"].metrics, inputs["persist_store"].metrics
    learner = new_learner(config)
    fields = {name: measured[name] for name in MEASURED if name in measured}
    fields["buffer"] = {"rows": stored["rows"], "bytes": stored["bytes"], "by_task": stored["by_task"]}
    fields |= {"guards": verdict["guards"], "promoted": bool(verdict["promoted"]), "notes": learner.notes}
    fields |= {**cost_of(inputs)}
    return checked(PlasticityReport, identity_of_run(run, config, learner.about()).model_dump() | fields, "report.json")


def _learned(config: PlasticityConfig, inputs: Mapping[str, StageResult]) -> Learned:
    """What plots show beside the report."""
    learner = new_learner(config)
    learner.load(inputs["sleep_distil"].path / STATE)
    answers = read_table(inputs["evaluate"].path / "answers.parquet", ANSWERS_SCHEMA)
    return Learned(answers, learner.receptive_fields())


def _steps(inputs: Mapping[str, StageResult]) -> dict[str, pa.Table]:
    """What every step of wake and sleep told, each counted from 0."""
    stages = {"wake": "wake_train", "sleep": "sleep_distil"}
    return {name: read_table(inputs[stage].path / "steps.parquet", STEPS_SCHEMA) for name, stage in stages.items()}
