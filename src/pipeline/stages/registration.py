"""What every flow does at the end of a night: register what it trained, say which run it was, log the figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.artifacts import RunFolder, Stage, StageResult, code_version, digest_file, read_json
from pipeline.config import FlowConfig, config_dict
from pipeline.evaluation.guards import Verdict, all_passed
from pipeline.progress import Progress
from pipeline.report.base import Identity
from pipeline.stages.registry import opened
from pipeline.tracking import Tracker, open_tracker
from pipeline.tracking.tracker import NOTE_TAG


def register_night(
    tracker: Tracker,
    config: FlowConfig,
    run: RunFolder,
    inputs: Mapping[str, StageResult],
    name: str,
    trained: Path,
    passed: bool,
    slow: Path | None = None,
    stored: str = "persist_store",
) -> tuple[int | None, bool]:
    """Log the night, register what it trained, and move the champion if the guards passed.

    Args:
        tracker: Of the run.
        config: Its parameters.
        run: The run's folder.
        inputs: All earlier stages.
        name: Of the registered model.
        trained: Folder with its weights.
        passed: Whether every guard passed.
        slow: Folder of the slow average beside it, if there is one.
        stored: The stage that wrote the store.

    Returns:
        The version, and whether ``champion`` moved.
    """
    lineage = lineage_of(run, config, inputs, stored)
    tracker.log_params(config_dict(config))
    tracker.log_inputs({name: result.digest for name, result in inputs.items()}, "stage")
    tracker.log_inputs(_stores(inputs[stored]), "store")
    verdict = {"engram.guards": "passed" if passed else "failed"}
    tracker.set_tags(lineage | verdict)
    tracker.rename(night_name(run, config, lineage))
    version = tracker.register_adapter(trained, name, slow, lineage | verdict)
    tracker.set_tags({} if version is None else {"engram.version": f"{name} {version}"})
    return version, tracker.promote(name, version) if passed else False


def promote_network(
    run: RunFolder,
    config: FlowConfig,
    inputs: Mapping[str, StageResult],
    progress: Progress,
    judge: Callable[[Mapping[str, Any]], list[Verdict]],
    figures: Mapping[str, Any] | None = None,
    trained: str = "sleep_distil",
    stored: str = "persist_store",
) -> StageResult:
    """Stage ``promote`` of a flow with a network of its own: ``champion`` moves only if every guard passes.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: All earlier stages.
        progress: Reports parts of the work.
        judge: Every guard, from figures that no test data went into.
        figures: Those; None is ``guard_figures`` of ``metrics.json`` of stage ``evaluate``.
        trained: The stage that holds the network.
        stored: The stage that wrote the store.

    Raises:
        ServiceError: The registry cannot be reached.
    """
    with opened(run, config, "promote", inputs) as stage:
        if stage.hit:
            return stage.result
        progress.phase("judging the guards")
        if figures is None:
            figures = read_json(inputs["evaluate"].path / "metrics.json")["guard_figures"]
        judged = judge(figures)
        passed = all_passed(judged)
        progress.phase("registering the network")
        tracker, name = open_tracker(config, run.path), f"engram-{config.flow}-{config.deployment}"
        version, promoted = register_night(
            tracker, config, run, inputs, name, inputs[trained].path, passed, stored=stored
        )
        verdict = {"passed": passed, "promoted": promoted, "guards": judged}
        stage.write_json("verdict.json", verdict)
        stage.metrics = verdict | {"version": version, "mlflow_run": tracker.run_id}
    return stage.result


def lineage_of(
    run: RunFolder, config: FlowConfig, inputs: Mapping[str, StageResult], stored: str = "persist_store"
) -> dict[str, str]:
    """What an adapter was made from, as tags of the night's MLflow run and of the registered version.

    The run and its folder as seen from the artifact root, the generation of every store, the night of the session,
    and the version that a continuing night went on from.
    """
    kept = inputs[stored].metrics
    trained = inputs["lora_train"].metrics if "lora_train" in inputs else {}
    told = {
        "run_id": run.run_id,
        "run_folder": run.path.relative_to(run.root).as_posix(),
        "seed": str(config.seed),
        "store_generation": str(kept["generation"]),
        "stores": ", ".join(f"{kind} {of['generation']}" for kind, of in kept.get("kinds", {}).items()),
        "session": config.session,
        "night": kept.get("night"),
        "continues": trained.get("continues"),
    }
    return {f"engram.{name}": str(value) for name, value in told.items() if value not in (None, "")}


def night_name(run: RunFolder, config: FlowConfig, lineage: Mapping[str, str]) -> str:
    """What lists and legends call the night: its place in its session, else its deployment and seed; then its id."""
    if config.fresh:
        return f"{config.deployment}, seed {config.seed} ({run.run_id})"
    return f"{config.session} night {lineage.get('engram.night', '?')} ({run.run_id})"


def _stores(stored: StageResult) -> dict[str, str]:
    """Digest of every generation that the night wrote, by kind and number."""
    path = stored.path / "store.json"
    known = read_json(path).get("stores", []) if path.is_file() else []
    return {f"{store['kind']} generation {store['generation']}": store["digest"] for store in known}


def identity_of_run(run: RunFolder, config: FlowConfig, model: str) -> Identity:
    """Which run a report is about.

    Args:
        run: The run's folder.
        config: The run's configuration.
        model: What learned, in a few words.
    """
    return Identity(
        flow=config.flow,
        deployment=config.deployment,
        run_id=run.run_id,
        seed=config.seed,
        model=model,
        config_hash=run.config_hash,
        code_version=code_version(),
        started=str(run.manifest()["started"]),
        finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
        placement=config.placement,
    )


def cost_of(inputs: Mapping[str, StageResult]) -> dict[str, Any]:
    """Who ran each stage, on what, for how long, and the highest memory: fields of every report, seen from its own."""
    workers = {name: result.worker for name, result in inputs.items()}
    return {
        "workers": workers | {"report": os.environ.get("ENGRAM_WORKER") or "inline"},
        "timings": {name: result.seconds for name, result in inputs.items()},
        "peak_memory_bytes": max(result.peak_memory_bytes for result in inputs.values()),
        "device": next((result.metrics["device"] for result in inputs.values() if "device" in result.metrics), None),
    }


def record_files(stage: Stage, run: RunFolder, files: Sequence[Path], promoted: bool, tracked: str | None) -> None:
    """Let stage ``report`` keep the digests of the files that it wrote into the run's folder, and what became of it."""
    stage.write_json("files.json", {file.relative_to(run.path).as_posix(): digest_file(file) for file in files})
    stage.metrics = {"promoted": promoted, "mlflow_run": tracked}


def track(
    tracker: Tracker, run: RunFolder, figures: Mapping[str, Any], steps: Mapping[str, pa.Table], files: list[Path]
) -> str | None:
    """Log figures, losses by step and files to the night's MLflow run, and end it.

    Args:
        tracker: Of the run.
        run: The run's folder.
        figures: As report.json holds them.
        steps: Tables with a column ``step``, by the prefix of their metrics.
        files: The report's; plots go to a folder of their own.

    Returns:
        MLflow's id of the run; None without tracking.
    """
    failed = [guard["name"] for guard in figures["guards"] if not guard["passed"]]
    verdict = "promoted" if figures["promoted"] else "not promoted"
    tracker.set_tags({"engram.verdict": verdict, "engram.failed_guards": ", ".join(failed), NOTE_TAG: _note(figures)})
    tracker.log_report(figures)
    for prefix, table in steps.items():
        tracker.log_steps(table, prefix)
    plots = [file for file in files if file.suffix == ".png"]
    tracker.log_artifacts([file for file in files if file.suffix != ".png"])
    tracker.log_artifacts(plots, "plots")
    tracker.log_artifacts([run.path / "config.yaml"])
    tracker.finish("FINISHED")
    return tracker.run_id


def _note(figures: Mapping[str, Any]) -> str:
    """The night's description on MLflow's page: verdict and guards, in Markdown; no text of a user or a model."""
    rows = [
        f"| {guard['name']} | {'' if guard['value'] is None else format(guard['value'], '.4g')} "
        f"| {guard['threshold']:.4g} | {'passed' if guard['passed'] else '**FAILED**'} |"
        for guard in figures["guards"]
    ]
    verdict = "Promoted to champion." if figures["promoted"] else "**Not promoted**; the champion stayed as it was."
    seconds = sum(figures["timings"].values())
    return "\n".join(
        [
            f"{verdict} The stages took {seconds:.0f} s. The whole report is the artifact `report.html`; the "
            "runs below this one are its stages.",
            "",
            "| guard | figure | threshold | verdict |",
            "|---|---|---|---|",
            *rows,
        ]
    )
