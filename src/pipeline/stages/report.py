"""Stage ``report``: everything that the night measured, as report.json, report.md, report.html, plots and in MLflow.

The files lie in the run's folder itself; the stage's own folder keeps their digests. A night that
passed then strikes off what it unlearned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pipeline.artifacts import RunFolder, StageResult, read_json, read_table
from pipeline.config import ConsolidationConfig, config_hash, dump_config
from pipeline.evaluation.answers import SCHEMA_NAME
from pipeline.progress import Progress
from pipeline.replay.earlier import NIGHT_SCHEMA
from pipeline.report.build import build_report
from pipeline.report.exchanges import question_texts
from pipeline.report.plots import NightTables
from pipeline.report.schema import Report
from pipeline.report.write import write_report
from pipeline.stages.memory import session_of
from pipeline.stages.order import STEPS_SCHEMA
from pipeline.stages.pending import drop_pending, ids_of_night
from pipeline.stages.promote import retrieval
from pipeline.stages.registration import cost_of, identity_of_run, record_files, track
from pipeline.stages.registry import opened
from pipeline.stages.suite_files import read_suite
from pipeline.stores.gate import GATE_SCHEMA
from pipeline.tracking import open_tracker

_TRAINED = ("steps", "examples", "tokens", "loss_first", "loss_last", "b_norm")


def run(run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: All earlier stages.
        progress: Reports parts of the work.

    Raises:
        ArtifactError: A figure that the contract asks for is missing.
    """
    result = _reported(run, config, inputs, progress)
    if (ids := ids_of_night(inputs["persist_store"])) and inputs["promote"].metrics["passed"]:
        drop_pending(run.root, session_of(config), ids)
    return result


def _reported(
    run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress
) -> StageResult:
    with opened(run, config, "report", inputs) as stage:
        if stage.hit:
            return stage.result
        progress.phase("writing the report")
        report = night_report(run, config, inputs)
        answers = read_table(inputs["evaluate"].path / "answers.parquet", SCHEMA_NAME)
        texts = question_texts(read_suite(inputs["teach"].path))
        tables = _tables(config, inputs)
        files = write_report(run.path, report, answers, texts, tables, dump_config(config).decode())
        progress.phase("logging to MLflow")
        steps = {} if tables.steps is None else {"train": tables.steps}
        tracked = track(open_tracker(config, run.path), run, report.to_json(), steps, files)
        record_files(stage, run, files, report.promoted, tracked)
    return stage.result


def night_report(run: RunFolder, config: ConsolidationConfig, inputs: Mapping[str, StageResult]) -> Report:
    """Put the report together from what the stages measured."""
    verdict = inputs["promote"].metrics
    measured = read_json(inputs["evaluate"].path / "metrics.json") | _studied(inputs["sleep_distil"].metrics)
    return build_report(
        identity_of_run(run, config, config.model.name),
        measured,
        telemetry=_telemetry(inputs),
        suites=_suites(inputs["teach"].metrics["suite"], measured),
        guards=verdict["guards"],
        promoted=bool(verdict["promoted"]),
        **cost_of(inputs),
        lora=_lora(config, inputs["lora_train"].metrics),
    )


def _telemetry(inputs: Mapping[str, StageResult]) -> dict[str, float]:
    gates, replay = inputs["teach"].metrics["gates"], inputs["replay_sample"].metrics
    return {
        "retrieval.requests": sum(retrieval(inputs, "requests")),
        "retrieval.hits": sum(retrieval(inputs, "hits")),
        "gates.attempts": gates["attempts"],
        "gates.accepts": gates["accepts"],
        "replay.samples": replay["samples"],
        "replay.distinct": replay["distinct"],
        "store.size": inputs["persist_store"].metrics["rows"],
    }


def _suites(taught: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the suite allows; its prior is the measured one, else its largest majority share."""
    majority = max(taught["majority"].values(), default=0.0)
    prior = measured.get("prior", {}).get("value", majority)
    kept = {name: taught[name] for name in ("ceiling", "n", "accepted", "refused")}
    return {str(taught["name"]): kept | {"prior": prior}}


def _studied(distilled: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of self-study, where there was something to study."""
    study = distilled.get("study", {})
    return {"study": study} if study.get("passages") else {}


def _lora(config: ConsolidationConfig, trained: Mapping[str, Any]) -> dict[str, Any]:
    settings = {"rank": config.lora.rank, "alpha": config.lora.alpha, "targets": tuple(config.lora.targets)}
    return settings | {"config_hash": config_hash(config, ["lora"])} | {name: trained[name] for name in _TRAINED}


def _tables(config: ConsolidationConfig, inputs: Mapping[str, StageResult]) -> NightTables:
    """What the plots read beside the report."""

    def table(stage: str, name: str, schema: str) -> pa.Table | None:
        path = inputs[stage].path / f"{name}.parquet"
        return read_table(path, schema) if path.is_file() else None

    return NightTables(
        steps=table("lora_train", "steps", STEPS_SCHEMA),
        gate=table("teach", "gate", GATE_SCHEMA),
        threshold=config.gate.threshold,
        replay=table("replay_sample", "replay", NIGHT_SCHEMA),
    )
