"""Task `wake`: read the days before the first sleep; surprises go into the store."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="wake", **OPTIONS)
def wake(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Read the days before the first sleep; surprises go into the store."""
    return execute("wake", run, inputs, progress)
