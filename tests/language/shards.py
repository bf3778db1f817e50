"""The tiny model in a folder, for other processes, and an executor that needs none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config import ModelConfig
from pipeline.executors import Call
from pipeline.executors.registry import Function
from pipeline.language.models import LanguageModel, load_model
from pipeline.language.prompts import closed_book_prompt, memory_prompt
from pipeline.language.sharding import Shards
from tests.language.examples import facts
from tests.language.tiny import tiny_language_model

TOKENS, BATCH = 12, 2


class Here:
    """Runs calls in this process, the last one first, and remembers how many there were."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def run(self, function: Function, calls: Sequence[Call]) -> Iterator[dict[str, Any]]:
        self.calls += calls
        for call in reversed(calls):
            yield function(*call)

    def close(self) -> None:
        """Nothing was started."""


def saved_tiny(folder: Path) -> LanguageModel:
    """The tiny model, loaded from a folder as any other process loads it."""
    lm = tiny_language_model()
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return load_model(ModelConfig(name=str(folder), device="cpu", dtype="float32"))


def over(lm: LanguageModel, executor: Any, count: int, folder: Path) -> LanguageModel:
    """The model with its generations shared by ``count`` calls of an executor."""
    return replace(lm, shards=Shards(count, executor, folder))


def asked(lm: LanguageModel) -> tuple[list[str], list[str]]:
    """Prompts of two kinds and many lengths, with their counterparts."""
    questions = [(fact, q) for fact in facts(4) for q in fact.questions]
    closed = [closed_book_prompt(lm.tokenizer, q) for _, q in questions]
    opened = [memory_prompt(q.question, [fact.text] * (1 + i % 3)) for i, (fact, q) in enumerate(questions)]
    return [*closed, *opened], [*closed, *(memory_prompt(q.question, []) for _, q in questions)]
