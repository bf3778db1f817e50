"""Task `pretrain_byte_lm`: learn bytes, and to recall through the memory."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="pretrain_byte_lm", **OPTIONS)
def pretrain_byte_lm(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Learn bytes, and to recall through the memory."""
    return execute("pretrain_byte_lm", run, inputs, progress)
