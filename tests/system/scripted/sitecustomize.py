"""Loaded by every process whose PYTHONPATH holds this folder: stand-ins where encoder and language model would be.

So the real server, workers, tasks and stages of pool ``cpu`` run, and a night takes seconds.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

ENCODER, TEACH = "pipeline.stores.encoder", "pipeline.stages.teach"
SCRIPTED = {f"pipeline.stages.{name}": name for name in ("sleep_distil", "lora_train", "evaluate")}


class _Replaced:
    """Finds the modules that are replaced, in whole or in part."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name in SCRIPTED:
            return ModuleSpec(name, _Scripted(SCRIPTED[name]))
        if name not in (ENCODER, TEACH):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute: Any = spec.loader.exec_module

            def patched(module: ModuleType) -> None:
                execute(module)
                _patch(module)

            spec.loader.exec_module = patched  # type: ignore[method-assign]
        return spec


class _Scripted:
    """A stage whose ``run`` is scripted; it takes as long as ENGRAM_SCRIPTED_SECONDS says."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        function: Any = getattr(importlib.import_module("tests.system.scripted.stages"), self._stage)

        def run(*arguments: Any) -> Any:
            time.sleep(float(os.environ.get("ENGRAM_SCRIPTED_SECONDS", "0")))
            return function(*arguments)

        module.run = run  # type: ignore[attr-defined]


def _patch(module: ModuleType) -> None:
    if module.__name__ == ENCODER:
        module.SentenceEncoder = _encoder  # type: ignore[attr-defined]
    else:
        module.model_surprise = _surprise  # type: ignore[attr-defined]


def _encoder(config: Any) -> Any:
    from tests.stores.examples import BagOfWords

    return BagOfWords()


def _surprise(config: Any) -> Any:
    from tests.stages.examples import surprise

    return surprise


sys.meta_path.insert(0, _Replaced())  # type: ignore[arg-type]
