"""What all tasks share: open the run, rebuild the inputs, call the stage, hand on a path and a digest."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect.cache_policies import NO_CACHE

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config import config_dict
from pipeline.progress import Progress, Silent
from pipeline.stages.registry import stages_of
from pipeline.tracking.stages import tracked_stage
from tasks.artifacts import publish_stage
from tasks.fencing import start_fence
from tasks.secrets import load_secrets

OPTIONS: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
"""Manifests decide what is run again, so Prefect neither caches nor stores results."""


def execute(name: str, run: str, inputs: Mapping[str, Mapping[str, Any]], progress: Progress | None) -> dict[str, Any]:
    """Call the function of one stage; the flow of the run says from which package.

    Args:
        name: The stage's name.
        run: Path of the run's folder.
        inputs: Results of earlier stages as dictionaries.
        progress: Where to report; None means a Prefect progress artifact when there is a task run, else silence.
    """
    if progress is None:
        start_fence()
    folder = RunFolder.at(Path(run))
    config = folder.config()
    stages = stages_of(config.flow)
    if progress is None:  # on a worker; inline runs have their environment
        load_secrets(config.tracking.uri)
    function = importlib.import_module(f"{stages.package}.{stages.spec(name).name}").run
    spec = stages.spec(name)
    results = {name: StageResult.from_dict(values) for name, values in inputs.items()}
    read = {stage: results[stage] for stage in spec.reads if stage in results}
    with tracked_stage(config, folder.path, name, read, config_dict(config, spec.sections)) as tracked:
        result: StageResult = function(folder, config, results, progress or prefect_progress())
        tracked.done(result)
    if progress is None:
        publish_stage(folder, config, result, tracked)
    return result.to_dict()


def prefect_progress() -> Progress:
    """A progress artifact of the current task run, or silence outside of one."""
    from prefect.context import TaskRunContext

    context = TaskRunContext.get()
    return PrefectProgress(context.task.name) if context else Silent()


class PrefectProgress:
    """Shows a stage's progress in Prefect's UI; writes at most every five seconds, and never fails a stage."""

    INTERVAL = 5.0  # seconds

    def __init__(self, stage: str) -> None:
        self._key = f"{stage.replace('_', '-')}-progress"
        self._artifact: UUID | None = None
        self._description = stage
        self._total: int | None = None
        self._done = 0
        self._written = 0.0

    def phase(self, description: str, total: int | None = None) -> None:
        """Begin one part of the stage."""
        self._description, self._total, self._done = description, total, 0
        self._write(force=True)

    def advance(self, amount: int = 1) -> None:
        """Report more units as done."""
        self._done += amount
        self._write(force=self._done == self._total)

    def note(self, text: str) -> None:
        """Live figures go to MLflow; the artifact shows the share alone."""

    def _write(self, force: bool) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        now = time.monotonic()
        if not force and now - self._written < self.INTERVAL:
            return
        self._written = now
        share = 100.0 * self._done / self._total if self._total else 0.0
        try:
            if self._artifact is None:
                created = create_progress_artifact(share, key=self._key, description=self._description)
                self._artifact = cast(UUID, created)  # the coroutine is for callers inside an event loop
            else:
                update_progress_artifact(self._artifact, share, description=self._description)
        except Exception as error:  # the UI is a convenience, the night is not
            from prefect.logging import get_run_logger

            get_run_logger().debug("no progress artifact: %s", error)
