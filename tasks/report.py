"""Task `report`: write report.json, report.md, report.html and the plots, and show them in Prefect."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.context import TaskRunContext

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="report", **OPTIONS)
def report(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Write report.json, report.md, report.html and the plots."""
    from pipeline.stages import report as stage

    result = execute(stage.run, run, inputs, progress)
    if progress is None and TaskRunContext.get() is not None:
        with suppress(Exception):  # the UI is a convenience, the night is not
            _show(Path(run))
    return result


def _show(run: Path) -> None:
    """The report as a Markdown artifact, its arms as a table artifact."""
    from pipeline.report.build import load_report
    from pipeline.report.figures import arms_table

    arms = arms_table(load_report(run))
    rows = [dict(zip(arms.columns, row, strict=True)) for row in arms.rows]
    create_table_artifact(rows, key="arms", description=f"Run {run.name}")
    create_markdown_artifact((run / "report.md").read_text(encoding="utf-8"), key="night", description=str(run))
