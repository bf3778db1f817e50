"""What rivals that train by transformers' Trainer have in common: recipe, rows, progress, and the count of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.bench.methods.registry import Learned, Task
from pipeline.bench.programs import Tokenised, supervised, tokenise
from pipeline.bench.sleep import question_rows
from pipeline.config import LoraConfig
from pipeline.protocol.entrants import Weights

if TYPE_CHECKING:
    from pipeline.language.models import LanguageModel
    from pipeline.language.rows import TrainingRow


@dataclass(frozen=True)
class Recipe:
    """Seed, and rate, rows a step and passes in the words of section ``lora``."""

    seed: int
    lora: LoraConfig


def recipe_of(task: Task, rows: int) -> Recipe:
    """The recipe of a method that has ``rows`` rows in a pass."""
    changed = {
        "learning_rate": task.recipe.learning_rate,
        "epochs": task.passes,
        "batch_size": task.config.rows_per_step(rows),
    }
    return Recipe(task.config.seed, task.config.lora.model_copy(update=changed))


def questions_of(task: Task, lm: LanguageModel) -> list[Tokenised]:
    """Every train question, closed book, with its answer."""
    return tokenise(lm, question_rows(lm, task.facts, task.config.seed))


def running_text(lm: LanguageModel, texts: Sequence[str]) -> list[Tokenised]:
    """Texts as in pretraining: from the start of a document to its end, every token learned."""
    from pipeline.language.prompts import START
    from pipeline.language.rows import TrainingRow

    rows: list[TrainingRow] = [
        TrainingRow(str(number), "statement", "", "", "train", START, text + START) for number, text in enumerate(texts)
    ]
    return tokenise(lm, rows)


def train(task: Task, lm: LanguageModel, model: Any, rows: Sequence[Tokenised], bf16: bool | None = None) -> int:
    """Train by transformers' Trainer; returns the tokens of all passes."""
    recipe = recipe_of(task, len(rows))
    steps = -(-len(rows) // recipe.lora.rows_per_step(len(rows))) * recipe.lora.epochs
    task.progress.phase("training", steps)
    supervised(lm, model, rows, recipe, reporting(task), bf16)
    return sum(len(prompt) + len(target) for prompt, target in rows) * recipe.lora.epochs


def reporting(task: Task) -> Any:
    """A callback of transformers that tells of every step."""
    from transformers import TrainerCallback

    class Reporting(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            task.progress.advance()

    return Reporting()


def learn_adapter(task: Task, lm: LanguageModel, adapted: Any, rows: Sequence[Tokenised], written: int = 0) -> Learned:
    """Train a LoRA adapter, save it, and have it merged into the base for the examination."""
    from pipeline.language.adapter import load_adapter, save_adapter

    tokens = train(task, lm, adapted, rows)
    folder = task.folder / "adapter"
    save_adapter(adapted, folder)
    return Learned(lambda base: Weights(load_adapter(base, folder)), tokens, written, parameters(adapted))


def parameters(model: Any) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
