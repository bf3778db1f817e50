"""Task `wake_train`: learn the day's tasks one after the other."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="wake_train", **OPTIONS)
def wake_train(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Learn the day's tasks one after the other."""
    return execute("wake_train", run, inputs, progress)
