"""Stages of a run: what is finished, with the same inputs, configuration and code, is not run again.

    with stage(run, "teach", inputs={"suite": digest}, config=config_dict(config, ["suite", "gate"])) as s:
        if s.hit:
            return s.result
        s.write_table("candidates", table, "candidates/1")
        s.metrics = {"accepted": 48}
    return s.result

The manifest ``<stage>/manifest.json`` is written last. A stage that was killed has none; its folder is kept for the
next attempt with the same inputs (checkpoints), and emptied when anything changed.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from pipeline.artifacts.atomic import read_json, write_bytes, write_json, write_table
from pipeline.artifacts.digests import code_version
from pipeline.artifacts.disk import disk_errors, remove_tree
from pipeline.artifacts.footprint import peak_memory_bytes, return_freed_memory
from pipeline.artifacts.jsonable import json_safe
from pipeline.artifacts.locking import FileLock
from pipeline.artifacts.manifest import Manifest, files_below, load, publish
from pipeline.artifacts.runs import RunFolder, differences
from pipeline.errors import ArtifactError, ConfigError

MANIFEST, BEGUN = "manifest.json", ".begun.json"


@dataclass(frozen=True)
class StageResult:
    """What a finished stage hands on: a path and a digest, never data.

    Attributes:
        stage: The stage's name.
        path: Its folder.
        digest: SHA-256 over the paths and contents of its files.
        metrics: JSON values.
        cached: Whether an earlier attempt's result was reused.
        seconds: How long the stage ran when it ran.
        worker: Which worker ran it; ``inline`` without workers.
        peak_memory_bytes: Highest resident memory of the process that ran it, up to its end.
    """

    stage: str
    path: Path
    digest: str
    metrics: dict[str, Any]
    cached: bool
    seconds: float
    worker: str
    peak_memory_bytes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return vars(self) | {"path": str(self.path)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`."""
        return cls(**{**values, "path": Path(values["path"])})


@dataclass(frozen=True)
class StagePlan:
    """Whether a stage would run, and why; ``digest`` is its output's when it would not.

    ``inputs`` holds the digest of everything that it reads, None for what an earlier stage has yet to write.
    """

    stage: str
    hit: bool
    reason: str
    digest: str | None = None
    inputs: Mapping[str, str | None] = field(default_factory=dict)


@dataclass
class Stage:
    """An open stage: where to write, and what will be published. Made by :func:`stage`."""

    name: str
    folder: Path
    config_hash: str
    hit: bool
    metrics: dict[str, Any] = field(default_factory=dict)
    _files: list[Path] = field(default_factory=list)
    _result: StageResult | None = None

    @property
    def result(self) -> StageResult:
        """The stage's result: at once on a hit, else after the ``with`` block."""
        if self._result is None:
            raise RuntimeError(f"stage {self.name} has no result before the end of its with block")
        return self._result

    def write_table(self, name: str, table: pa.Table, schema: str) -> Path:
        """Write ``<name>.parquet`` with the run's config hash, and list it in the manifest."""
        path = self.folder / f"{name}.parquet"
        write_table(path, table, schema, self.config_hash)
        return self.add(path)

    def write_json(self, name: str, value: Any) -> Path:
        """Write ``<name>`` (with its suffix) as JSON, and list it in the manifest."""
        path = self.folder / name
        write_json(path, value)
        return self.add(path)

    def write_bytes(self, name: str, data: bytes) -> Path:
        """Write ``<name>`` (with its suffix), and list it in the manifest."""
        path = self.folder / name
        write_bytes(path, data)
        return self.add(path)

    def add(self, path: Path) -> Path:
        """List a file, or every file of a folder, that was written below ``folder`` by other means.

        Raises:
            ArtifactError: There is nothing at that path.
        """
        if self.hit:
            raise RuntimeError(f"stage {self.name} is finished already: return s.result when s.hit")
        if not path.exists():
            raise ArtifactError(f"{path}: stage {self.name} was to list it, and it does not exist")
        self._files.append(path)
        return path


@contextmanager
def stage(
    run: RunFolder,
    name: str,
    *,
    inputs: Mapping[str, str],
    config: Mapping[str, Any],
    code: str | None = None,
    force: bool = False,
    worker: str | None = None,
) -> Iterator[Stage]:
    """Run a stage, or find its result.

    Args:
        run: The run's folder.
        name: The stage's name and folder.
        inputs: Digest per input.
        config: The part of the configuration that decides the result, see ``config_dict``.
        code: Code version; None is :func:`code_version`.
        force: Run it even if nothing changed.
        worker: Who runs it; None is ``ENGRAM_WORKER``, else ``inline``.

    Raises:
        ArtifactError: The folder cannot be written, or metrics are no JSON; nothing is published then.
        ConfigError: Another process is running this stage of this run.
    """
    key = {"inputs": dict(inputs), "config": json_safe(config, f"{name} config"), "code": code or code_version()}
    folder = run.stage_folder(name)
    with _only_once(run, name):
        verdict = plan(run, name, **key, force=force)
        current = Stage(name, folder, run.config_hash, hit=verdict.hit)
        if verdict.hit:
            current._result = _result(name, folder, load(folder / MANIFEST, verify=False), cached=True)
            current.metrics = dict(current.result.metrics)
            yield current
            return
        _prepare(folder, key, force)
        return_freed_memory()
        start = time.perf_counter()
        with disk_errors(folder):
            yield current
        _publish(current, key, time.perf_counter() - start, worker)


def _publish(current: Stage, key: Mapping[str, Any], seconds: float, worker: str | None) -> None:
    cost = {
        "seconds": round(seconds, 3),
        "worker": worker or os.environ.get("ENGRAM_WORKER") or "inline",
        "peak_memory_bytes": peak_memory_bytes(),
    }
    files = {file for path in current._files for file in files_below(path)}
    metrics = json_safe(current.metrics, f"{current.name} metrics")
    metadata = {"stage": current.name, **key, "metrics": metrics, **cost}
    manifest = publish(current.folder, MANIFEST, files, metadata)
    current._result = _result(current.name, current.folder, manifest, cached=False)


@contextmanager
def _only_once(run: RunFolder, name: str) -> Iterator[None]:
    """Keep a second process, such as a retry whose predecessor still lives, from running the same stage."""
    lock = FileLock(run.path / f".{name}.lock")
    if not lock.acquire():
        raise ConfigError(f"stage {name} of run {run.run_id} is being run by process {lock.holder()}; wait for it")
    try:
        yield
    finally:
        lock.release()


def plan(
    run: RunFolder | None,
    name: str,
    *,
    inputs: Mapping[str, str | None],
    config: Mapping[str, Any],
    code: str | None = None,
    force: bool = False,
) -> StagePlan:
    """Whether :func:`stage` would reuse a result, and the reason; changes nothing.

    Args:
        run: None for a run that does not exist yet.
        inputs: Digest per input; None for one that an earlier stage has yet to write.

    The other arguments are those of :func:`stage`.
    """

    def miss(reason: str) -> StagePlan:
        return StagePlan(name, False, reason, inputs=dict(inputs))

    if unknown := sorted(key for key, digest in inputs.items() if digest is None):
        return miss(f"waits for {', '.join(unknown)}")
    if force:
        return miss("asked to run again")
    if run is None or not run.stage_folder(name).is_dir():
        return miss("not run yet")
    folder = run.stage_folder(name)
    if not (folder / MANIFEST).exists():
        return miss("was interrupted before it finished")
    try:
        manifest = load(folder / MANIFEST)
        known = manifest.metadata
        changed = differences(known["inputs"], dict(inputs))
        settings = differences(known["config"], json_safe(config, f"{name} config"))
        if changed:
            return miss("input changed: " + ", ".join(map(_short, changed)))
        if settings:
            return miss("configuration changed: " + "; ".join(settings[:3]))
        if known["code"] != (code or code_version()):
            return miss(
                "code changed"
                + _short(*differences({"code": known["code"]}, {"code": code or code_version()})).removeprefix("code")
            )
        return StagePlan(name, True, "unchanged, digests verified", manifest.digest, dict(inputs))
    except ArtifactError as error:
        return miss(str(error))
    except KeyError as error:
        return miss(f"{folder / MANIFEST}: lacks {error}")


def _short(change: str) -> str:
    """``name: digest → digest`` with eight characters of each digest, as a person compares them."""
    return re.sub(r"'([0-9a-f]{8})[0-9a-f]{24,}'", r"\1", change)


def stage_results(run: RunFolder) -> dict[str, StageResult]:
    """Results of all finished stages by name, in alphabetical order; files are not verified."""
    manifests = sorted(run.path.glob(f"*/{MANIFEST}"))
    return {
        path.parent.name: _result(path.parent.name, path.parent, load(path, verify=False), True) for path in manifests
    }


def _prepare(folder: Path, key: Mapping[str, Any], force: bool) -> None:
    """Keep a killed attempt's files if it had the same key; else start from an empty folder."""
    begun = folder / BEGUN
    same = begun.is_file() and not (folder / MANIFEST).exists() and not force and read_json(begun) == key
    if folder.exists() and not same:
        (folder / MANIFEST).unlink(missing_ok=True)
        remove_tree(folder)
    write_json(begun, key)


def _result(name: str, folder: Path, manifest: Manifest, cached: bool) -> StageResult:
    known = manifest.metadata
    try:
        return StageResult(
            stage=name,
            path=folder,
            digest=manifest.digest,
            metrics=known["metrics"],
            cached=cached,
            seconds=float(known["seconds"]),
            worker=str(known["worker"]),
            peak_memory_bytes=int(known["peak_memory_bytes"]),
        )
    except KeyError as error:
        raise ArtifactError(f"{folder / MANIFEST}: not a stage's manifest, it lacks {error}") from None
