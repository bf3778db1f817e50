"""Task `generate_episodes`: facts of every day, and the streams that tell them."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="generate_episodes", **OPTIONS)
def generate_episodes(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Facts of every day, and the streams that tell them."""
    return execute("generate_episodes", run, inputs, progress)
