"""Hand out what a run trained: the adapter alone, or one merged checkpoint that `transformers` loads by itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from pipeline.artifacts import RunFolder, write_json
from pipeline.config import ConsolidationConfig
from pipeline.errors import ArtifactError, ModelError
from pipeline.sessions.champion import adapter_of, find_slow, need_slow
from pipeline.suites.types import Question

PROMPT = "prompt.json"


def export_adapter(run: RunFolder, folder: Path, *, slow: bool = False) -> Path:
    """Copy a run's adapter (PEFT's format, safetensors) into a new folder.

    Args:
        run: Which run.
        folder: The new folder.
        slow: Whether the slow average over nights is taken in the adapter's place.

    Raises:
        ModelError: The run has no adapter yet, or no slow average.
        ArtifactError: The folder exists and is not empty.
    """
    adapter = _weights(run, slow)
    return new_folder(folder, lambda staged: shutil.copytree(adapter, staged, dirs_exist_ok=True))


def export_merged(run: RunFolder, folder: Path, *, slow: bool = False) -> Path:
    """Write base and adapter as one float32 checkpoint with its tokenizer, and ``prompt.json``.

    ``prompt.json`` holds the closed-book prompt with ``{question}`` where the question goes, and the token limit of
    an answer; greedy decoding of that prompt gives the run's closed-book answers.

    Args:
        run: Which run.
        folder: The new folder.
        slow: Whether the slow average over nights is merged in the adapter's place.

    Raises:
        ModelError: The run has no adapter yet, no slow average, or its base model is not here.
        ArtifactError: The folder exists and is not empty.
    """
    from pipeline.language.adapter import load_adapter
    from pipeline.language.models import load_for_evaluation
    from pipeline.language.prompts import closed_book_prompt

    adapter, config = _weights(run, slow), run.config()
    if not isinstance(config, ConsolidationConfig):
        raise ModelError(f"run {run.run_id} is of flow {config.flow}, which trains no language model")
    merged = load_adapter(load_for_evaluation(config.model), adapter)
    prompt = closed_book_prompt(merged.tokenizer, Question("export", "export", "export", "test", "{question}", ""))

    def write(staged: Path) -> None:
        merged.model.cpu().float().save_pretrained(staged, safe_serialization=True)
        merged.tokenizer.save_pretrained(staged)
        told = {
            "run_id": run.run_id,
            "slow": slow,
            "prompt": prompt,
            "max_new_tokens": config.evaluation.max_new_tokens,
        }
        write_json(staged / PROMPT, told | {"decoding": "greedy", "add_special_tokens": False})

    return new_folder(folder, write)


def _weights(run: RunFolder, slow: bool) -> Path:
    own = adapter_of(run)
    return need_slow(find_slow(own), f"run {run.run_id}") if slow else own


def new_folder(folder: Path, write: Callable[[Path], object]) -> Path:
    """Fill a folder beside the target, then rename it: all of it is there, or nothing."""
    target = folder.expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ArtifactError(f"{target} exists already; name a new folder")
    staged = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        staged.mkdir(parents=True)
        write(staged)
        for file in staged.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)  # safetensors writes files that only their owner may read
        if target.exists():
            target.rmdir()
        staged.rename(target)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return target
