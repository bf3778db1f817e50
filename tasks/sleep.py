"""Task `sleep`: teach the weights what the store selects."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="sleep", **OPTIONS)
def sleep(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Teach the weights what the store selects."""
    return execute("sleep", run, inputs, progress)
