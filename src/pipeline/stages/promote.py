"""Stage ``promote``: judge the night by its guards; the registry's alias ``champion`` moves only if all of them pass.

Reads rows of the probe and the development half of sanity alone: no test answer can move a verdict. Writes
``verdict.json``. A failed guard leaves the champion as it was, and the facts stay in the store, due again.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.artifacts import RunFolder, StageResult, read_json, read_table
from pipeline.config import ConsolidationConfig
from pipeline.evaluation.answers import SCHEMA_NAME
from pipeline.evaluation.guards import Verdict, all_passed, guard_figures, verdicts
from pipeline.progress import Progress
from pipeline.sessions.champion import adapter_name, find_slow
from pipeline.stages.registration import register_night
from pipeline.stages.registry import opened
from pipeline.stages.suite_files import read_suite
from pipeline.tracking import open_tracker


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
        name, adapter = adapter_name(config.model), inputs["lora_train"].path / "adapter"
        version, promoted = register_night(tracker, config, run, inputs, name, adapter, passed, find_slow(adapter))
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
        measured.get("forget"),
    )
    return verdicts(figures, config.guards)


def retrieval(inputs: Mapping[str, StageResult], counter: str) -> list[int]:
    """A counter of retrieval (``requests`` or ``hits``) of every stage that asked the store."""
    told = [inputs[name].metrics.get("retrieval", {}) for name in ("sleep_distil", "evaluate")]
    return [int(counts.get(counter, 0)) for counts in told]
