"""Run folders: one per night, resumed by configuration hash, never taken twice.

Below the artifact root, and in code:

    runs/<flow>/<deployment>/<run id>/config.yaml     what was really used
                                      manifest.json   state: running, done or failed
                                      <stage>/…       see pipeline.artifacts.stages

    with open_run(config) as run:       # done at the end of the block, failed (and resumable) on an error
        ...

A run that bad input stops before its first finished stage leaves nothing behind.
"""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pipeline.artifacts.atomic import sweep, write_bytes
from pipeline.artifacts.digests import code_version, digest_file
from pipeline.artifacts.locking import FileLock
from pipeline.artifacts.sealed import read_sealed, write_sealed
from pipeline.config import FlowConfig, check_name, config_dict, config_hash, dump_config, read_config
from pipeline.errors import ArtifactError, ConfigError, DataError, EngramError, StoreError

SCHEMA_VERSION = 1
_CONFIG_DIGEST = "config_sha256"  # in the manifest: of config.yaml
State = Literal["running", "done", "failed"]


class RunFolder:
    """One run's folder. Made by :func:`open_run` (the owner, which holds its lock) or :meth:`at` (everybody else).

    Attributes:
        path: ``runs/<flow>/<deployment>/<run id>``, absolute.
    """

    def __init__(self, path: Path, lock: FileLock | None = None) -> None:
        self.path = path.absolute()
        self._lock = lock

    @classmethod
    def at(cls, path: Path) -> Self:
        """Open an existing run without owning it: workers of a run, reports, comparisons.

        Raises:
            ArtifactError: There is no run at that path.
        """
        if not (path / "manifest.json").is_file():
            raise ArtifactError(f"{path}: no run here; expected a folder with manifest.json")
        return cls(path)

    def manifest(self) -> dict[str, Any]:
        """The run's manifest as it stands now: flow, deployment, run_id, state, config_hash, seed, started, …"""
        path = self.path / "manifest.json"
        content = read_sealed(path)
        if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
            raise ArtifactError(f"{path}: expected a run manifest of version {SCHEMA_VERSION}")
        return content

    def config(self) -> FlowConfig:
        """The configuration that was used, with ``root`` where the run lies now.

        Raises:
            ArtifactError: The file is missing, or not what the run was started with.
        """
        path = self.path / "config.yaml"
        told = self.manifest().get(_CONFIG_DIGEST)
        if told is not None and digest_file(path) != told:
            raise ArtifactError(
                f"{path}: differs from what the run was started with; the file was changed or damaged, restore it"
            )
        return read_config(path, self.root)

    def settings_rewritten(self) -> None:
        """Take the ``config.yaml`` that lies there now for the run's, after something was taken out of it."""
        self._update(**self._config_digest())

    def _config_digest(self) -> dict[str, str]:
        return {_CONFIG_DIGEST: digest_file(self.path / "config.yaml")}

    @property
    def root(self) -> Path:
        """The artifact root: the folder that holds ``runs``; a run copied alone is its own root."""
        parents = self.path.parents
        return parents[3] if len(parents) > 3 and parents[2].name == "runs" else self.path

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def config_hash(self) -> str:
        """Of the configuration in the run's manifest."""
        return str(self.manifest()["config_hash"])

    @property
    def state(self) -> State:
        """``running``, ``done`` or ``failed``."""
        state: State = self.manifest()["state"]
        return state

    def stage_folder(self, stage: str) -> Path:
        """Where a stage writes; need not exist."""
        return self.path / check_name(stage, "stage")

    def finish(self, state: Literal["done", "failed"], **fields: Any) -> None:
        """Set the final state, with more manifest fields, and give the run back."""
        try:
            self._update(state=state, finished=_now(), **fields)
        finally:
            self.release()

    def release(self) -> None:
        """Give the run's lock back without changing its state."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ConfigError | DataError | StoreError) and not any(self.path.glob("*/manifest.json")):
            self._discard()
        elif error is not None:
            with suppress(EngramError):  # the first error is the one to see
                self.finish("failed", error=str(error) or type(error).__name__)
        elif self._lock is not None and self._lock.held:
            self.finish("done", error=None)

    def _discard(self) -> None:
        """Remove a run that bad input stopped before any stage was finished: there is nothing to take up again."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()

    def _begin(self, config: FlowConfig) -> None:
        """Start a new run here, or take up an unfinished one of the same configuration."""
        sweep(self.path)
        digest = config_hash(config)
        if (self.path / "manifest.json").exists():
            known = self.manifest()
            if known["state"] == "done":
                raise ConfigError(
                    f"run {self.run_id} is finished and never reused; leave out --run-id, or name a new one"
                )
            if known["config_hash"] != digest:
                raise ConfigError(
                    f"run {self.run_id} was started with another configuration{self._difference(config)}; "
                    "repeat it with the same settings, or leave out --run-id"
                )
            write_bytes(self.path / "config.yaml", dump_config(config))
            self._update(
                **self._config_digest(),
                state="running",
                finished=None,
                error=None,
                code_version=code_version(),
                resumed=known["resumed"] + 1,
            )
            return
        write_bytes(self.path / "config.yaml", dump_config(config))
        start = {"flow": config.flow, "deployment": config.deployment, "run_id": self.run_id, "seed": config.seed}
        write_sealed(
            self.path / "manifest.json",
            {
                "schema_version": SCHEMA_VERSION,
                **start,
                **self._config_digest(),
                "state": "running",
                "config_hash": digest,
                "resumed": 0,
            }
            | {"code_version": code_version(), "started": _now(), "finished": None, "error": None},
        )

    def _update(self, **fields: Any) -> None:
        write_sealed(self.path / "manifest.json", self.manifest() | fields)

    def _difference(self, config: FlowConfig) -> str:
        with suppress(EngramError):
            changes = differences(config_dict(self.config()), config_dict(config))
            return f" ({'; '.join(changes[:5])})" if changes else ""
        return ""


def open_run(config: FlowConfig, run_id: str | None = None, root: Path | None = None) -> RunFolder:
    """Take the newest unfinished run of this configuration, else start a new one; its lock is held until release.

    Args:
        config: The run's configuration.
        run_id: A new run's name, or an unfinished run to take up; None chooses.
        root: Artifact root; None is ``config.root``.

    Raises:
        ConfigError: The run is finished, has another configuration, or is in use by another process.
        ArtifactError: The folder cannot be written.
    """
    folder = _folder(config, root)
    if run_id is None:
        unfinished = resumable(config, root)
        path = unfinished.path if unfinished else folder / _new_run_id()
    else:
        path = folder / check_name(run_id, "run id")
    lock = FileLock(path / ".lock")
    if not lock.acquire():
        raise ConfigError(
            f"run {path.name} is in use by process {lock.holder()}; wait for it, or start another by --run-id NAME"
        )
    try:
        run = RunFolder(path, lock)
        run._begin(config)
    except BaseException:
        if not (path / "manifest.json").exists():
            run._discard()  # a full disk leaves no run that never began
        lock.release()
        raise
    return run


def resumable(config: FlowConfig, root: Path | None = None) -> RunFolder | None:
    """The run that :func:`open_run` would take up without a run id; changes nothing."""
    digest = config_hash(config)
    for run in list_runs(root or config.root, config.flow, config.deployment):
        known = run.manifest()
        if known["state"] != "done" and known["config_hash"] == digest:
            return run
    return None


def list_runs(root: Path, flow: str = "*", deployment: str = "*") -> list[RunFolder]:
    """All runs below an artifact root, newest first."""
    found = [RunFolder(path.parent) for path in (root / "runs").glob(f"{flow}/{deployment}/*/manifest.json")]
    return sorted(found, key=lambda run: (str(run.manifest()["started"]), run.run_id), reverse=True)


def find_run(reference: str, root: Path) -> RunFolder:
    """A run by its path, its id, ``flow/deployment/id``, or ``flow/deployment`` (the newest).

    Raises:
        ArtifactError: No run, or more than one, goes by that name.
    """
    with suppress(OSError, ValueError):  # too long, or with a NUL: no path
        if (Path(reference) / "manifest.json").is_file():
            return RunFolder.at(Path(reference))
    runs = list_runs(root)
    names = {run: "/".join(run.path.parts[-3:]) for run in runs}
    if newest := next((run for run in runs if names[run].rpartition("/")[0] == reference), None):
        return newest
    matches = [run for run in runs if reference in (run.run_id, names[run])]
    if len(matches) > 1:
        raise ArtifactError(f"run {reference!r} is ambiguous: {', '.join(names[run] for run in matches)}")
    if not matches:
        recent = ", ".join(names[run] for run in runs[:3]) or "none yet"
        raise ArtifactError(f"no run {reference!r} in {root / 'runs'}; newest: {recent}")
    return matches[0]


def differences(old: Any, new: Any, key: str = "") -> list[str]:
    """What changed between two JSON values, one ``a.b: old → new`` per leaf, sorted by key."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(set(old) | set(new))
        return [line for k in keys for line in differences(old.get(k), new.get(k), f"{key}.{k}" if key else k)]
    return [] if old == new else [f"{key}: {old!r} → {new!r}"]


def _folder(config: FlowConfig, root: Path | None) -> Path:
    return (root or config.root) / "runs" / config.flow / config.deployment


def _new_run_id() -> str:
    return f"{datetime.now(UTC):%Y%m%d-%H%M}-{secrets.token_hex(3)}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
