"""Task `later_cycles`: further days, each with a sleep."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="later_cycles", **OPTIONS)
def later_cycles(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Further days, each with a sleep."""
    return execute("later_cycles", run, inputs, progress)
