"""Open a night's run, take over finished stages, and say how it ended."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.artifacts import RunFolder, list_runs, open_run, resumable, stage_results
from pipeline.config import ConsolidationConfig, FlowConfig, check_name, load_config
from pipeline.errors import ConfigError
from pipeline.stages.mirroring import Tell, mirrored
from pipeline.stages.registry import stages_of

MEMORY = "memory"  # below a run's folder; see pipeline.stages.memory
PART = ".part"  # ends the name of a folder that is being copied


@dataclass(frozen=True)
class Night:
    """A run that this process owns, and its configuration."""

    run: RunFolder
    config: FlowConfig

    def outcome(self) -> dict[str, Any]:
        """Run id, folder, verdict and the guards that failed, once all stages are finished."""
        told = stage_results(self.run)["promote"].metrics
        failed = [guard["name"] for guard in told["guards"] if not guard["passed"]]
        known = {"run_id": self.run.run_id, "folder": str(self.run.path)}
        return {**known, "promoted": bool(told["promoted"]), "failed_guards": failed}

    def stop_after(self, stage: str) -> dict[str, Any]:
        """Give the run back after one stage alone; the same command without ``--only`` goes on with the next one."""
        self.run.finish("failed", error=f"stopped after {stage}, as --only asked; start the run again to go on")
        return {"run_id": self.run.run_id, "folder": str(self.run.path), "stopped_after": stage}


def configure(target: str, overrides: Sequence[str], root: Path | None = None) -> ConsolidationConfig:
    """Load the configuration of a consolidation deployment.

    Raises:
        ConfigError: An unknown name, key or value; or a flow that is no consolidation.
    """
    config = load_config(target, overrides, root)
    if not isinstance(config, ConsolidationConfig):
        raise ConfigError(f"expected a deployment of flow consolidation, found {target!r}")
    return config


def run_to_use(config: FlowConfig, run_id: str | None, start: str | None) -> RunFolder | None:
    """The run whose finished stages `begin` would build on; None for a start from nothing. Changes nothing."""
    if run_id is not None:
        path = config.root / "runs" / config.flow / config.deployment / check_name(run_id, "run id")
        return RunFolder.at(path) if (path / "manifest.json").is_file() else None
    return resumable(config) or (_finished_source(config) if start else None)


@contextmanager
def begin(
    target: str,
    overrides: Sequence[str],
    *,
    root: Path | None = None,
    run_id: str | None = None,
    start: str | None = None,
    only: str | None = None,
    tell: Tell = warnings.warn,
) -> Iterator[Night]:
    """Own a run for the length of the block: done at its end, failed and resumable on an error.

    Args:
        target: ``FLOW/DEPLOYMENT``.
        overrides: Settings such as ``suite.n=8``.
        root: Artifact root; None keeps the configured one.
        run_id: A new run's name, or an unfinished run to take up.
        start: Stage from which everything runs again; earlier ones come from the newest run of the deployment
            where nothing that decides them has changed.
        only: The one stage that will run; where no run is unfinished, earlier ones come from the newest finished one.
        tell: Gets what could not be pulled from a mirror before the block, or pushed there after it.
    """
    config = load_config(target, overrides, root)
    for stage in filter(None, (start, only)):
        stages_of(config.flow).spec(stage)
    if only is not None and isinstance(config, ConsolidationConfig) and config.nights is not None:
        raise ConfigError("--only is about one night; a month has many: run consolidation/nightly instead")
    first = start or only
    with mirrored(config, tell):
        source = None if first is None or run_id is not None else _finished_source(config)
        with open_run(config, run_id) as run:
            for part in run.path.glob(f".*{PART}"):
                shutil.rmtree(part, ignore_errors=True)
            if start is not None:
                _drop(run, start)
            if first is not None and source is not None:
                _bring(run, source, first)
            yield Night(run, config)


def _finished_source(config: FlowConfig) -> RunFolder | None:
    """The newest finished run of the deployment, unless an unfinished one is there to be taken up."""
    if resumable(config) is not None:
        return None
    runs = list_runs(config.root, config.flow, config.deployment)
    return next((run for run in runs if run.state == "done"), None)


def _drop(run: RunFolder, start: str) -> None:
    """Remove ``start`` and what follows."""
    stages = stages_of(run.config().flow).names
    for name in stages[stages.index(start) :]:
        shutil.rmtree(run.stage_folder(name), ignore_errors=True)


def _bring(run: RunFolder, source: RunFolder, first: str) -> None:
    """Copy what precedes ``first`` from another run, to be verified when it is opened.

    A folder appears when it is whole, and the memory before the stages that read it: what a kill leaves is resumed.
    """
    stages = stages_of(run.config().flow).names
    for name in (MEMORY, *stages[: stages.index(first)]):
        origin, target = source.path / name, run.path / name
        if origin.is_dir() and not target.exists():
            part = run.path / f".{name}{PART}"
            shutil.copytree(origin, part)
            part.rename(target)
