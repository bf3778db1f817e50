"""Task `replay_sample`: draw what sleep replays this night."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="replay_sample", **OPTIONS)
def replay_sample(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Draw what sleep replays this night."""
    return execute("replay_sample", run, inputs, progress)
