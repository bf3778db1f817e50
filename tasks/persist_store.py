"""Task `persist_store`: write the candidates into a new generation of the store."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="persist_store", **OPTIONS)
def persist_store(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Write the candidates into a new generation of the store."""
    return execute("persist_store", run, inputs, progress)
