"""Stage ``promote``: judge the night by its guards; the registry's alias ``champion`` moves only if all of them pass.

Reads rows of the probe and the development half of sanity alone: no test answer can move a verdict. Writes
``verdict.json``. A failed guard leaves the champion as it was, and the facts stay in the store, due again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.artifacts import RunFolder, StageResult, read_json, read_table
from pipeline.config import ConsolidationConfig, config_dict
from pipeline.evaluation.answers import SCHEMA_NAME
from pipeline.evaluation.guards import Verdict, all_passed, guard_figures, verdicts
from pipeline.progress import Progress
from pipeline.sessions.champion import adapter_name
from pipeline.stages.order import opened
from pipeline.stages.suite_files import read_suite
from pipeline.tracking import Tracker, open_tracker


def run(run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: All earlier stages.
        progress: Reports parts of the work.

    Raises:
        ServiceError: The registry cannot be reached.
    """
    with opened(run, config, "promote", inputs) as stage:
        if stage.hit:
            return stage.result
        progress.phase("judging the guards")
        judged = judge_night(config, inputs)
        passed = all_passed(judged)
        progress.phase("registering the adapter")
        tracker = open_tracker(config, run.path)
        version, promoted = _register(tracker, config, run, inputs, passed)
        verdict = {"passed": passed, "promoted": promoted, "guards": judged}
        stage.write_json("verdict.json", verdict)
        stage.metrics = verdict | {"version": version, "mlflow_run": tracker.run_id}
    return stage.result


def judge_night(config: ConsolidationConfig, inputs: Mapping[str, StageResult]) -> list[Verdict]:
    """Every guard with its figure, threshold and verdict."""
    evaluated = inputs["evaluate"]
    measured = read_json(evaluated.path / "metrics.json")
    requests = sum(retrieval(inputs, "requests"))
    figures = guard_figures(
        read_table(evaluated.path / "answers.parquet", SCHEMA_NAME),
        read_suite(inputs["teach"].path),
        measured.get("drift"),
        requests,
        int(inputs["replay_sample"].metrics["samples"]),
    )
    return verdicts(figures, config.guards)


def retrieval(inputs: Mapping[str, StageResult], counter: str) -> list[int]:
    """A counter of retrieval (``requests`` or ``hits``) of every stage that asked the store."""
    told = [inputs[name].metrics.get("retrieval", {}) for name in ("sleep_distil", "evaluate")]
    return [int(counts.get(counter, 0)) for counts in told]


def _register(
    tracker: Tracker, config: ConsolidationConfig, run: RunFolder, inputs: Mapping[str, StageResult], passed: bool
) -> tuple[int | None, bool]:
    """Log the night, register its adapter as challenger, and move the champion if the guards passed."""
    tracker.log_params(config_dict(config))
    tracker.log_inputs({name: result.digest for name, result in inputs.items()}, "night")
    tracker.set_tags(_tags(run, inputs) | {"engram.guards": "passed" if passed else "failed"})
    name = adapter_name(config.model)
    version = tracker.register_adapter(inputs["lora_train"].path / "adapter", name)
    return version, tracker.promote(name, version) if passed else False


def _tags(run: RunFolder, inputs: Mapping[str, StageResult]) -> dict[str, Any]:
    """Where the night's files lie, seen from the artifact root."""
    return {
        "engram.run_id": run.run_id,
        "engram.run_folder": run.path.relative_to(run.root).as_posix(),
        "engram.store_generation": str(inputs["persist_store"].metrics["generation"]),
    }
