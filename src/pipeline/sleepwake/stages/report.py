"""Stage ``report``: everything that was measured, as report.json, report.md, report.html, plots and in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.artifacts import RunFolder, StageResult, read_json, read_table
from pipeline.config import dump_config
from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.progress import Progress
from pipeline.report.base import checked
from pipeline.sleepwake.report.plots import Courses
from pipeline.sleepwake.report.schema import MEASURED, SleepWakeReport
from pipeline.sleepwake.report.write import write_sleepwake_report
from pipeline.sleepwake.stages.pretrain_byte_lm import STEPS_SCHEMA
from pipeline.sleepwake.stages.sleep import PROBES_SCHEMA
from pipeline.stages.registration import cost_of, identity_of_run, record_files, track
from pipeline.stages.registry import opened
from pipeline.tracking import open_tracker


def run(run: RunFolder, config: SleepWakeConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
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
        report = run_report(run, config, inputs)
        steps = {
            name: read_table(inputs[stage_name].path / "steps.parquet", STEPS_SCHEMA)
            for name, stage_name in (("train", "pretrain_byte_lm"), ("sleep", "sleep"))
        }
        courses = Courses(steps["train"], read_table(inputs["sleep"].path / "probes.parquet", PROBES_SCHEMA))
        files = write_sleepwake_report(run.path, report, courses, dump_config(config).decode())
        progress.phase("logging to MLflow")
        tracked = track(open_tracker(config, run.path), run, report.to_json(), steps, files)
        record_files(stage, run, files, report.promoted, tracked)
    return stage.result


def run_report(run: RunFolder, config: SleepWakeConfig, inputs: Mapping[str, StageResult]) -> SleepWakeReport:
    """Put the report together from what the stages measured."""
    measured, verdict = read_json(inputs["evaluate"].path / "metrics.json"), inputs["promote"].metrics
    trained, woken, slept = (inputs[name].metrics for name in ("pretrain_byte_lm", "wake", "sleep"))
    memory, efficiency, parts = measured["memory"], measured["efficiency"], measured["parts"]
    fields: dict[str, Any] = {name: measured[name] for name in MEASURED}
    fields |= {
        "parameters": trained["parameters"],
        "patcher": read_json(inputs["pretrain_byte_lm"].path / "patcher.json"),
        "memory": {
            "with_memory": memory["with"],
            "without": memory["without"],
            "with_after_sleeps": memory["with_after_sleeps"],
            "gain": memory["with"] - memory["without"],
        },
        "wake": {name: woken[name] for name in ("memories", "event_rate", "threshold")},
        "sleep": {name: measured[name] for name in ("facts", "recall_before", "recall_after", "recall_after_ci95")}
        | {
            name: slept[name]
            for name in ("selected", "left", "teacher_right", "steps", "rollbacks", "kept_share", "stopped")
        }
        | {
            "by_kind": measured["by_kind"],
            "memories": slept["memories"],
            "efficiency": efficiency["consolidated"],
            "importance_consolidated": efficiency["importance"],
            "weight_change": read_json(inputs["sleep"].path / "sleep.json")["weight_change"],
        },
        "controls": {
            name: {key: value for key, value in told.items() if key != "rights"}
            for name, told in measured["controls"].items()
        },
        "codebook": {"usage": parts["codebook"]["usage"]} if "codebook" in parts else None,
        "parts": parts,
        "cycles": read_json(inputs["later_cycles"].path / "cycles.json"),
        "guards": verdict["guards"],
        "promoted": bool(verdict["promoted"]),
        "notes": notes(config, slept),
        **cost_of(inputs),
    }
    about = f"byte model with a memory, {trained['parameters']:,} parameters"
    return checked(SleepWakeReport, identity_of_run(run, config, about).model_dump() | fields, "report.json")


def notes(config: SleepWakeConfig, slept: Mapping[str, Any]) -> list[str]:
    """What a reader has to know beside the figures."""
    told = []
    if config.episodes.part == "validation":
        told.append("Facts are under validation keys: these figures choose settings and are no result.")
    if slept["rollbacks"]:
        told.append(f"The first sleep took weights back {slept['rollbacks']} times since base text got worse.")
    if not slept["selected"]:
        told.append("The first sleep had no memories: nothing of its days was surprising enough.")
    if config.evaluation.controls != "full":
        told.append(f"evaluation.controls={config.evaluation.controls}: not every control was run.")
    return told
