"""Task `teach`: turn the session's experiences into candidate episodes, with the gate's scores."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="teach", **OPTIONS)
def teach(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Turn the session's experiences into candidate episodes, with the gate's scores."""
    return execute("teach", run, inputs, progress)
