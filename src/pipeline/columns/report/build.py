"""Put the report of a column network together from what the stages measured, and read one back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.columns.report.schema import ColumnsReport
from pipeline.report.base import Identity, RunReport, checked, read_report

MEASURED = tuple(name for name in ColumnsReport.model_fields if name not in {*RunReport.model_fields, "schema_version"})
"""Figures that ``metrics`` must hold; what else it holds is not reported."""


def build_columns_report(
    identity: Identity,
    metrics: Mapping[str, Any],
    *,
    guards: Sequence[Mapping[str, Any]],
    promoted: bool,
    workers: Mapping[str, str],
    timings: Mapping[str, float],
    peak_memory_bytes: int,
    device: str | None = None,
    notes: Iterable[str] = (),
) -> ColumnsReport:
    """Check every figure against schema version 1.

    Args:
        identity: Which run this is.
        metrics: The fields of `pipeline.columns.report.schema.ColumnsReport` that `MEASURED` names, as plain values;
            its ``notes`` come before ``notes``.
        guards: Verdicts of `pipeline.columns.guards.verdicts`.
        promoted: Whether the alias moved.
        workers: Worker by stage.
        timings: Seconds by stage.
        peak_memory_bytes: Highest resident memory of any stage.
        device: What trained, by name; None where no stage tells it.
        notes: What a reader must know.

    Raises:
        ArtifactError: A figure is missing, NaN, out of its range, of the wrong type, or of other tasks than the rest;
            the message names it.
    """
    fields: dict[str, Any] = {name: metrics[name] for name in MEASURED if name in metrics}
    fields |= {"guards": guards, "promoted": promoted, "workers": workers, "timings": timings}
    fields |= {"peak_memory_bytes": peak_memory_bytes, "device": device, "notes": (*metrics.get("notes", ()), *notes)}
    return checked(ColumnsReport, identity.model_dump() | fields, "report.json")


def load_columns_report(path: Path) -> ColumnsReport:
    """Read ``report.json``.

    Args:
        path: The file, or the run folder that holds it.

    Raises:
        ArtifactError: It is missing, torn, or not of schema version 1.
    """
    return read_report(ColumnsReport, path)
