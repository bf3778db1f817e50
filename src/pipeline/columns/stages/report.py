"""Stage ``report``: everything that was measured, as report.json, report.md, report.html, plots and in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from safetensors.torch import load_file

from pipeline.artifacts import RunFolder, StageResult, read_json, read_table
from pipeline.columns.report.build import build_columns_report
from pipeline.columns.report.schema import ColumnsReport
from pipeline.columns.report.write import write_columns_report
from pipeline.columns.stages.wake_train import STEPS_SCHEMA
from pipeline.config import ColumnsConfig, dump_config
from pipeline.progress import Progress
from pipeline.stages.registration import cost_of, identity_of_run, record_files, track
from pipeline.stages.registry import opened
from pipeline.tracking import open_tracker


def run(run: RunFolder, config: ColumnsConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
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
        rasters = load_file(inputs["evaluate"].path / "rasters.safetensors")
        spikes = {task: raster.numpy() for task, raster in rasters.items()}
        files = write_columns_report(run.path, report, spikes, dump_config(config).decode())
        progress.phase("logging to MLflow")
        tracked = track(open_tracker(config, run.path), run, report.to_json(), _losses(inputs), files)
        record_files(stage, run, files, report.promoted, tracked)
    return stage.result


def night_report(run: RunFolder, config: ColumnsConfig, inputs: Mapping[str, StageResult]) -> ColumnsReport:
    """Put the report together from what the stages measured."""
    measured = read_json(inputs["evaluate"].path / "metrics.json")
    verdict, stored = inputs["promote"].metrics, inputs["persist_store"].metrics
    columns, hidden = config.masking.soft_columns.total_columns, config.model.hidden_per_column
    figures: dict[str, Any] = dict(measured)
    figures["replay"] = {
        "budget": config.sleep.budget,
        "samples": inputs["replay_sample"].metrics["samples"],
        "bytes": stored["bytes"],
    }
    figures["steps"] = {
        "wake": inputs["wake_train"].metrics["steps"],
        "sleep": inputs["wake_train"].metrics["nap_steps"] + inputs["sleep_distil"].metrics["steps"],
    }
    return build_columns_report(
        identity_of_run(run, config, f"{columns} columns of {hidden} LIF neurons"),
        figures,
        guards=verdict["guards"],
        promoted=bool(verdict["promoted"]),
        **cost_of(inputs),
    )


def _losses(inputs: Mapping[str, StageResult]) -> dict[str, pa.Table]:
    """Loss by step of wake and sleep, each counted from 0."""
    found = {}
    for prefix, stage in (("wake", "wake_train"), ("sleep", "sleep_distil")):
        table = read_table(inputs[stage].path / "steps.parquet", STEPS_SCHEMA)
        found[prefix] = table.set_column(
            table.schema.get_field_index("step"), "step", pa.array(range(table.num_rows), pa.int64())
        )
    return found
