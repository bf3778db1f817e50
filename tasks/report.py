"""Task `report`: write report.json, report.md, report.html and the plots, and show them in Prefect."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.context import TaskRunContext

from pipeline.artifacts import read_json
from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="report", **OPTIONS)
def report(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Write report.json, report.md, report.html and the plots."""
    result = execute("report", run, inputs, progress)
    if progress is None and TaskRunContext.get() is not None:
        with suppress(Exception):  # the UI is a convenience, the night is not
            _show(Path(run))
    return result


def _show(run: Path) -> None:
    """The report as a Markdown artifact, its guards as a table artifact."""
    guards = read_json(run / "report.json")["guards"]
    create_table_artifact(guards, key="guards", description=f"Run {run.name}")
    create_markdown_artifact((run / "report.md").read_text(encoding="utf-8"), key="night", description=str(run))
