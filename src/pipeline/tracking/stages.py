"""A nested MLflow run for every stage of a night: its settings, inputs, figures, time, and the load of the machine.

with tracked_stage(config, run.path, "teach", earlier, settings) as tracked:
    result = ...
    tracked.done(result)

MLflow is a mirror here: the manifest is the truth, so a stage never fails because its run could not be logged. Only
the first stage of a night insists, so that a wrong address is found before anything was trained.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.artifacts import FileLock, StageResult
from pipeline.config import FlowConfig, config_dict
from pipeline.errors import EngramError, ServiceError
from pipeline.tracking.load import MachineLoad
from pipeline.tracking.protocol import Status
from pipeline.tracking.store import quietly
from pipeline.tracking.tracker import KIND_TAG, PARENT_TAG, RUN_TAG, STAGE_TAG, MlflowTracker, open_tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

DIGEST_TAG = "engram.digest"


class TrackedStage:
    """What the body of `tracked_stage` hands its result to, with MLflow's ids; all None without tracking."""

    def __init__(self) -> None:
        self.run_id: str | None = None
        self.night_id: str | None = None
        self.experiment_id: str | None = None
        self.result: StageResult | None = None

    def done(self, result: StageResult) -> None:
        """Let the stage's run hold this result."""
        self.result = result


@contextmanager
def tracked_stage(
    config: FlowConfig, run: Path, name: str, earlier: Mapping[str, StageResult], settings: Mapping[str, Any]
) -> Iterator[TrackedStage]:
    """Log one stage as a run below the night's.

    Args:
        config: Of the run.
        run: Its folder.
        name: The stage.
        earlier: Results that it reads; none for the first stage.
        settings: The part of the configuration that decides its result.

    Raises:
        ServiceError: MLflow cannot be reached, and this is the first stage.
    """
    tracked = TrackedStage()
    stage = None
    if config.tracking.enabled:
        try:
            stage = _begin(config, run, name, earlier, settings)
            tracked.run_id, tracked.night_id = stage.run_id, stage.night.run_id
            tracked.experiment_id = stage.night.experiment_id
        except ServiceError:
            if not earlier:
                raise
    try:
        yield tracked
    except BaseException as error:
        if stage is not None:
            with suppress(EngramError):
                stage.fail(error, first=not earlier)
        raise
    if stage is not None and tracked.result is not None:
        with suppress(EngramError):
            stage.finish(tracked.result)


class _Stage:
    """An open stage run."""

    def __init__(self, night: MlflowTracker, known: Run | None, run_id: str, load: MachineLoad | None) -> None:
        self.run_id = run_id
        self.night, self._known, self._load = night, known, load

    def finish(self, result: StageResult) -> None:
        """Log the figures; a reused result whose run already holds them changes nothing."""
        self._stop()
        stage = self.night.at(self.run_id)
        kept = result.cached and self._known is not None and self._known.info.status == "FINISHED"
        if not kept:
            cost = {"seconds": result.seconds, "peak_memory_bytes": result.peak_memory_bytes}
            stage.log_metrics({**cost, result.stage: result.metrics})
            stage.set_tags({"engram.worker": result.worker, DIGEST_TAG: result.digest})
        stage.finish("FINISHED")
        if result.stage == "report" and result.cached:  # a kill came between the last stage and the end of its run
            self.night.finish("FINISHED")

    def fail(self, error: BaseException, first: bool) -> None:
        """Say how the stage and its night ended; the message stays in the log, for it may hold a user's text.

        A night that bad input stopped before its first stage was finished leaves no run folder, and no run here.
        """
        self._stop()
        client, night = self.night.client, self.night
        if first and isinstance(error, EngramError):
            with quietly(night.uri):
                for run_id in (self.run_id, night.run_id):
                    client.set_terminated(run_id, "FAILED", int(time.time() * 1000))  # a deleted run keeps its status
                    client.delete_run(run_id)
            return
        status: Status = "FAILED" if isinstance(error, Exception) else "KILLED"
        for tracker in (night.at(self.run_id), night):
            tracker.set_tags({"engram.error": type(error).__name__})
            tracker.finish(status)

    def _stop(self) -> None:
        if self._load is not None:
            self._load.stop()


def _begin(
    config: FlowConfig, run: Path, name: str, earlier: Mapping[str, StageResult], settings: Mapping[str, Any]
) -> _Stage:
    night = open_tracker(config, run)
    assert isinstance(night, MlflowTracker)
    if not earlier:
        night.log_params(config_dict(config))
        with quietly(night.uri):
            _end_abandoned(night.client, night, config.root, own=config.tracking.uri is None)
    with quietly(night.uri):
        known = night.stage_run(name)
        if known is None:
            run_id = night.client.create_run(
                night.experiment_id,
                tags={PARENT_TAG: night.run_id, KIND_TAG: "stage", STAGE_TAG: name},
                run_name=f"{name} {run.name}",
            ).info.run_id
        else:
            run_id = known.info.run_id
            night.client.update_run(run_id, status="RUNNING")
    stage = night.at(run_id)
    stage.log_params(settings)
    stage.log_inputs({name: result.digest for name, result in earlier.items()}, "input", tags=False)
    load = MachineLoad(run_id, night.uri, config.tracking.system_seconds) if config.tracking.system_seconds else None
    return _Stage(night, known, run_id, load)


def _end_abandoned(client: MlflowClient, night: MlflowTracker, root: Path, own: bool) -> None:
    """Mark nights as killed that say "running" while no process owns their folder; what is elsewhere is left alone.

    In a root's ``own`` database nothing is elsewhere: a night without a folder ended before its first stage, and could
    not say so, for instance on a full disk.
    """
    running = client.search_runs(
        [night.experiment_id], filter_string=f"attributes.status = 'RUNNING' and tags.`{KIND_TAG}` = 'night'"
    )
    for other in running:
        folder = root / "runs" / other.data.tags.get(RUN_TAG, "-")
        if other.info.run_id == night.run_id:
            continue
        if not folder.is_dir():
            if own:
                _end(client, night.experiment_id, other.info.run_id)
            continue
        lock = FileLock(folder / ".lock")
        if lock.acquire():
            try:
                _end(client, night.experiment_id, other.info.run_id)
            finally:
                lock.release()


def _end(client: MlflowClient, experiment: str, run_id: str) -> None:
    filters = f"attributes.status = 'RUNNING' and tags.`{PARENT_TAG}` = '{run_id}'"
    for stage in client.search_runs([experiment], filter_string=filters):
        client.set_terminated(stage.info.run_id, "KILLED", int(time.time() * 1000))
    client.set_terminated(run_id, "KILLED", int(time.time() * 1000))
