"""Task `evaluate`: ask every arm, memory off and on, and score the answers."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="evaluate", **OPTIONS)
def evaluate(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Ask every arm, memory off and on, and score the answers."""
    return execute("evaluate", run, inputs, progress)
