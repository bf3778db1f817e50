"""Stage ``report``: everything that was measured, as report.json, report.md, report.html, plots and in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from scipy.stats import binomtest

from pipeline.artifacts import RunFolder, StageResult, read_json, read_table
from pipeline.config import dump_config
from pipeline.config.needle import NeedleConfig
from pipeline.needle.report.schema import MEASURED, NeedleReport
from pipeline.needle.report.write import write_needle_report
from pipeline.needle.tasks.registry import task_of
from pipeline.needle.telemetry import EPOCHS_SCHEMA, STEPS_SCHEMA
from pipeline.progress import Progress
from pipeline.report.base import checked
from pipeline.stages.registration import cost_of, identity_of_run, record_files, track
from pipeline.stages.registry import opened
from pipeline.tracking import open_tracker


def run(run: RunFolder, config: NeedleConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
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
        report, trained = run_report(run, config, inputs), inputs["wake_train"]
        epochs = read_table(trained.path / "epochs.parquet", EPOCHS_SCHEMA)
        files = write_needle_report(run.path, report, epochs, dump_config(config).decode())
        progress.phase("logging to MLflow")
        steps = {
            "train": read_table(trained.path / "steps.parquet", STEPS_SCHEMA),
            "epoch": _numbers(epochs, trained.metrics["seconds_by_epoch"]),
        }
        tracked = track(open_tracker(config, run.path), run, report.to_json(), steps, files)
        record_files(stage, run, files, report.promoted, tracked)
    return stage.result


def _numbers(epochs: pa.Table, seconds: list[float]) -> pa.Table:
    """Epochs for MLflow: booleans and the gate's state as 0 and 1, and how long each epoch took."""
    gate = pa.array([state == "open" for state in epochs.column("gate").to_pylist()])
    table = epochs.append_column("gate_open", gate).append_column("seconds", pa.array(seconds, pa.float64()))
    for number, field in enumerate(table.schema):
        if pa.types.is_boolean(field.type):
            table = table.set_column(number, field.name, table.column(number).cast(pa.int8()))
    return table


def run_report(run: RunFolder, config: NeedleConfig, inputs: Mapping[str, StageResult]) -> NeedleReport:
    """Put the report together from what the stages measured."""
    measured, trained = read_json(inputs["evaluate"].path / "metrics.json"), inputs["wake_train"].metrics
    verdict = inputs["promote"].metrics
    test = inputs["persist_store"].metrics["splits"]["test"]
    right = round(measured["accuracy"]["test"] * measured["questions"])
    bounds = binomtest(right, measured["questions"]).proportion_ci(method="wilson")
    fields: dict[str, Any] = {name: measured[name] for name in MEASURED}
    fields |= {
        "task": config.data.task,
        "writes": config.emma.writes,
        "chance": 1 / task_of(config.data).classes,
        "majority": test["majority_share"],
        "accuracy": measured["accuracy"] | {"ci95": (bounds.low, bounds.high)},
        "gate": {name: trained[name] for name in ("open_fraction", "lambda_max", "opened_epoch")},
        "drop": trained["drop"],
        "training": {
            name: trained[name]
            for name in (
                "epochs",
                "steps",
                "parameters",
                "tokens_per_second",
                "steps_to_90",
                "significant_drops",
                "stopped",
            )
        },
        "controls": {name: told["accuracy"] for name, told in measured["controls"].items()},
        "control_details": {
            name: {key: value for key, value in told.items() if key != "accuracy"}
            | {"seconds": inputs["evaluate"].metrics["control_seconds"][name]}
            for name, told in measured["controls"].items()
        },
        "guards": verdict["guards"],
        "promoted": bool(verdict["promoted"]),
        "notes": notes(config, trained),
        **cost_of(inputs),
    }
    about = f"holographic memory, {trained['parameters']:,} parameters, {config.emma.writes} writes"
    return checked(NeedleReport, identity_of_run(run, config, about).model_dump() | fields, "report.json")


def notes(config: NeedleConfig, trained: Mapping[str, Any]) -> list[str]:
    """What a reader has to know beside the figures."""
    told = []
    if config.emma.writes == "marked":
        told.append("Marks among the tokens say where to write: the model does not find needles by itself.")
    if trained["stopped"]:
        told.append(f"Training stopped after epoch {trained['epochs']}: {trained['stopped']}.")
    if trained["drop_epochs"]:
        epochs = ", ".join(map(str, trained["drop_epochs"]))
        told.append(f"Validation accuracy was significantly below that before the gate opened after epochs {epochs}.")
    if config.evaluation.controls != "full":
        told.append(f"evaluation.controls={config.evaluation.controls}: not every control was run.")
    return told
