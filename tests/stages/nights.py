"""Puts scripted stand-ins where the encoder, the model and its three stages would be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

import pipeline.stages
from pipeline.artifacts import RunFolder
from pipeline.evaluation.arms import Ask
from pipeline.progress import Quiet
from pipeline.stages.night import begin
from tests.evaluation.examples import Reply, scripted
from tests.stages.examples import as_module, evaluate_with, lora_train, sleep_distil, surprise
from tests.stores.examples import BagOfWords
from tests.tracking.template import copied_database

SMALL = ("suite.n=6", "suite.profile=easy", "evaluation.bootstrap=50")
_ENCODERS = (
    "pipeline.stages.teach",
    "pipeline.stages.persist_store",
    "pipeline.sessions.lessons",
    "pipeline.sessions.asking",
)


class ScriptedNight:
    """The consolidation flow with stand-ins; remembers which stages were really called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.called: list[str] = []
        self._monkeypatch = monkeypatch
        for module in _ENCODERS:
            monkeypatch.setattr(f"{module}.SentenceEncoder", lambda config: BagOfWords())
        for module in ("pipeline.stages.teach", "pipeline.sessions.lessons"):
            monkeypatch.setattr(f"{module}.model_surprise", lambda config: surprise)
        monkeypatch.setattr("pipeline.tracking.store._create_database", copied_database)
        monkeypatch.setattr("pipeline.artifacts.stages.return_freed_memory", lambda: None)  # no model, nothing to free
        self.put("sleep_distil", sleep_distil)
        self.put("lora_train", lora_train)
        self.answer_with(scripted)

    def answer_with(self, answer: Callable[[Ask], Reply]) -> None:
        """Let ``answer`` speak for the model in ``evaluate``."""
        self.put("evaluate", evaluate_with(answer))

    def fail_in(self, stage: str, error: BaseException) -> None:
        """Raise an error in a scripted stage."""

        def broken(*arguments: Any) -> Any:
            raise error

        self.put(stage, broken)

    def run(self, *overrides: str, target: str = "consolidation/episodic", **options: Any) -> RunFolder:
        """One inline night."""
        from flows.consolidation import run_inline

        with begin(target, [*SMALL, *overrides], **options) as night:
            run_inline(night, Quiet())
        return night.run

    def put(self, name: str, function: Callable[..., Any]) -> None:
        """Let a function stand for a stage."""

        def noted(*arguments: Any) -> Any:
            self.called.append(name)
            return function(*arguments)

        module = as_module(name, noted)
        self._monkeypatch.setitem(sys.modules, f"pipeline.stages.{name}", module)
        self._monkeypatch.setattr(pipeline.stages, name, module, raising=False)
