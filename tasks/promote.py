"""Task `promote`: judge the guards; the alias champion moves only if all pass."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="promote", **OPTIONS)
def promote(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Judge the guards; the alias champion moves only if all pass."""
    return execute("promote", run, inputs, progress)
