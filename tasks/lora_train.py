"""Task `lora_train`: train the adapter on the targets."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="lora_train", **OPTIONS)
def lora_train(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Train the adapter on the targets."""
    return execute("lora_train", run, inputs, progress)
