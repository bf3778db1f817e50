"""Find every run below some folders: reports, runs that never got that far, and what cannot be read.

A run is ``report.json``; ``config.yaml`` and ``lora_train/steps.parquet`` beside it tell its settings and its learning
curve, where they were kept. MLflow's copy of a report is the same run.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config.yaml_tree import read_yaml
from pipeline.errors import ArtifactError, ConfigError, DataError
from pipeline.report.base import RunReport, checked
from pipeline.report.compare import flatten
from pipeline.report.flows import flow_reports

Curve = tuple[tuple[int, float], ...]
"""(step, accuracy on probe questions), by rising step."""


@dataclass(frozen=True)
class Run:
    """One finished run: its report, its settings by dotted key (None where nobody kept them), its learning curve."""

    report: RunReport
    config: Mapping[str, Any] | None = None
    curve: Curve = ()

    @property
    def name(self) -> str:
        """Deployment and run id, for people."""
        return f"{self.report.deployment}/{self.report.run_id}"

    @property
    def refused(self) -> tuple[str, ...]:
        """Names of the guards that it failed."""
        return tuple(guard.name for guard in self.report.guards if not guard.passed)


@dataclass(frozen=True)
class Unfinished:
    """A run that left no report: it failed, was cut off, or is still at work."""

    deployment: str
    run_id: str
    seed: int
    state: str
    error: str
    nights: int | None = None  # of a month, how many were asked for
    facts: int | None = None  # that a night was to teach, as its settings say


@dataclass(frozen=True)
class SweepTable:
    """Rows of a ``sweep.csv``."""

    name: str
    rows: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Found:
    """Everything that lies below the folders.

    Attributes:
        runs: Finished runs, each once, by deployment, start and id.
        unfinished: Runs without a report.
        unreadable: File (seen from its folder) and what is wrong with it.
        sweeps: Tables of sweeps, by name.
        benches: What ``engram bench NAME --json > bench-NAME.json`` printed, and ``methods.json``, by name.
    """

    runs: tuple[Run, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    sweeps: tuple[SweepTable, ...] = ()
    benches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def find(folders: Sequence[Path]) -> Found:
    """Read everything below the folders; what cannot be read is told, not raised.

    Raises:
        DataError: A folder does not exist.
    """
    if missing := [folder for folder in folders if not folder.is_dir()]:
        raise DataError(f"{missing[0]}: expected a folder with runs, found none")
    runs: dict[tuple[str, ...], list[Run]] = {}
    unfinished: dict[tuple[str, str], Unfinished] = {}
    unreadable: set[tuple[str, str]] = set()
    for folder, path in _files(folders, "report.json"):
        try:
            run = read_run(path)
            report = run.report
            key = (report.flow, report.deployment, report.run_id, report.config_hash, report.started)
            runs.setdefault(key, []).append(run)
        except ArtifactError as error:
            unreadable.add((path.relative_to(folder).as_posix(), str(error).removeprefix(f"{path}: ")))
    for _, path in _files(folders, "manifest.json"):
        if not (path.parent / "report.json").is_file() and (stopped := read_unfinished(path)) is not None:
            unfinished[stopped.deployment, stopped.run_id] = stopped
    known = {(key[1], key[2]) for key in runs}
    return Found(
        runs=tuple(best_copy(runs[key]) for key in sorted(runs, key=lambda key: (key[1], key[4], key))),
        unfinished=tuple(unfinished[key] for key in sorted(unfinished) if key not in known),
        unreadable=tuple(sorted(unreadable)),
        sweeps=tuple(sorted(_sweeps(folders).values(), key=lambda sweep: sweep.name)),
        benches=dict(sorted(_benches(folders).items())),
    )


def _files(folders: Iterable[Path], pattern: str) -> list[tuple[Path, Path]]:
    """(folder, file) of every file of that name, sorted."""
    return sorted({(folder, path) for folder in folders for path in folder.rglob(pattern) if path.is_file()})


def best_copy(copies: Sequence[Run]) -> Run:
    """Of several copies of one run the last that was written; of equal ones that with most beside it."""
    return max(copies, key=lambda run: (run.report.finished, run.config is not None, len(run.curve)))


def read_run(path: Path) -> Run:
    """Read a report and what lies beside it.

    Raises:
        ArtifactError: It is no report of a flow that is known here.
    """
    values = _json(path)
    flow = values.get("flow") if isinstance(values, dict) else None
    schema = flow_reports().get(str(flow))
    if schema is None:
        raise ArtifactError(f"{path}: no report of a known flow (flow {flow!r})")
    report = checked(schema.schema, values, str(path))
    return Run(report, _settings(path.with_name("config.yaml")), _curve(path.parent / "lora_train" / "steps.parquet"))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot read: {error}") from None


def _settings(path: Path) -> dict[str, Any] | None:
    """A run's settings by dotted key, of any version; None where they were not kept, or cannot be read."""
    try:
        values = read_yaml(path).plain()
    except ConfigError:
        return None
    return flatten(values) if isinstance(values, dict) else None


def _curve(path: Path) -> Curve:
    """Accuracy on probe questions by step; empty where no steps were kept."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=["step", "probe_accuracy"])
        pairs = zip(table.column("step").to_pylist(), table.column("probe_accuracy").to_pylist(), strict=True)
    except (OSError, KeyError, pa.ArrowException):
        return ()
    return tuple((int(step), float(value)) for step, value in pairs if value is not None and 0 <= value <= 1)


def read_unfinished(path: Path) -> Unfinished | None:
    """What a run's manifest says of a run without a report; None for the manifest of anything else."""
    try:
        told = _json(path)
    except ArtifactError:
        return None
    if not isinstance(told, dict) or not {"deployment", "run_id", "state", "seed"} <= told.keys():
        return None
    settings = _settings(path.with_name("config.yaml")) or {}
    nights, facts = settings.get("nights.count"), settings.get("nights.facts", settings.get("suite.n"))
    error = (str(told.get("error") or "").splitlines() or [""])[0][:200]
    return Unfinished(
        deployment=str(told["deployment"]),
        run_id=str(told["run_id"]),
        seed=int(told["seed"]),
        state=str(told["state"]),
        error=error,
        nights=nights if isinstance(nights, int) else None,
        facts=facts if isinstance(facts, int) else None,
    )


def _sweeps(folders: Sequence[Path]) -> dict[str, SweepTable]:
    """By name; of two tables of one sweep the one with more finished seeds."""
    found: dict[str, SweepTable] = {}
    for _, path in _files(folders, "sweep.csv"):
        rows = tuple(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8", errors="replace"))))
        table = SweepTable(path.parent.name, rows)
        if table.name not in found or _seeds(table) > _seeds(found[table.name]):
            found[table.name] = table
    return found


def _seeds(table: SweepTable) -> int:
    return sum(len((row.get("seeds") or "").split()) for row in table.rows)


def _benches(folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Figures of benchmarks by name; files that hold something else are none."""
    found: dict[str, dict[str, Any]] = {}
    for _, path in (*_files(folders, "bench-*.json"), *_files(folders, "methods.json")):
        try:
            values = _json(path)
        except ArtifactError:
            continue
        if isinstance(values, dict) and values:
            found[path.stem.removeprefix("bench-")] = values
    return found
