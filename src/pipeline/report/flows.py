"""The report of any flow: which schema reads it."""

from __future__ import annotations

from pathlib import Path

from pipeline.artifacts import read_json
from pipeline.errors import ArtifactError
from pipeline.report.base import RunReport, read_report


def load_any_report(run: Path) -> RunReport:
    """Read ``report.json`` of a run folder by the schema of its flow.

    Raises:
        ArtifactError: It is missing, torn, of an unknown flow, or does not fit the schema.
    """
    from pipeline.columns.report.schema import ColumnsReport
    from pipeline.report.schema import Report

    schemas: dict[str, type[RunReport]] = {"consolidation": Report, "columns": ColumnsReport}
    flow = read_json(run / "report.json").get("flow")
    if flow not in schemas:
        raise ArtifactError(f"{run / 'report.json'}: expected flow {' or '.join(schemas)}, found {flow!r}")
    return read_report(schemas[flow], run)
