"""Task `sleep_distil`: prepare forms, rehearsal and the memory-ON teacher's targets."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="sleep_distil", **OPTIONS)
def sleep_distil(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Prepare forms, rehearsal and the memory-ON teacher's targets."""
    return execute("sleep_distil", run, inputs, progress)
