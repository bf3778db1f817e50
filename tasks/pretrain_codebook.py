"""Task `pretrain_codebook`: learn to write pictures as codes, where the configuration asks for it."""

from __future__ import annotations

from typing import Any

from prefect import task

from pipeline.progress import Progress
from tasks.execution import OPTIONS, execute


@task(name="pretrain_codebook", **OPTIONS)
def pretrain_codebook(run: str, inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Learn to write pictures as codes, where the configuration asks for it."""
    return execute("pretrain_codebook", run, inputs, progress)
