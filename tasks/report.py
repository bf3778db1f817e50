"""Task `report`: write report.json, report.md, report.html and the plots."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="report", **OPTIONS)
def report(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Write report.json, report.md, report.html and the plots."""
    return execute("report", run, inputs, progress)
