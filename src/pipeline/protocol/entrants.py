"""Who is scored: something that answers questions, and whose drift from the base can be measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.config.examination import EvaluationConfig
from pipeline.evaluation.drift import TokenDrift
from pipeline.suites.types import Question

if TYPE_CHECKING:
    from pipeline.language.generation import Generation
    from pipeline.language.models import LanguageModel
    from pipeline.language.rows import TrainingRow

Advance = Callable[[int], None]


class Entrant(Protocol):
    """What an examination asks of an entrant."""

    @property
    def closed_book(self) -> bool:
        """Whether its prompts hold the question alone."""
        ...

    def answer(
        self, questions: Sequence[Question], config: EvaluationConfig, advance: Advance
    ) -> tuple[list[str], list[Generation]]:
        """The rendered prompt of every question, and the greedy reply to it."""
        ...

    def drift(self, base: LanguageModel, rows: Sequence[TrainingRow], advance: Advance) -> list[TokenDrift]:
        """The entrant beside the base on text that nobody taught; ``form`` of a row is its domain."""
        ...


@dataclass(frozen=True)
class Weights:
    """One set of weights that is asked closed book: a checkpoint, or base and adapter merged.

    Attributes:
        lm: The model, with the base's tokenizer.
        is_base: Whether it is the untouched base, whose replies are kept from one examination to the next.
    """

    lm: LanguageModel
    is_base: bool = False
    closed_book: bool = True

    def answer(
        self, questions: Sequence[Question], config: EvaluationConfig, advance: Advance
    ) -> tuple[list[str], list[Generation]]:
        """Every different prompt once, as a night's examination asks it."""
        from pipeline.language.generation import generate
        from pipeline.language.prompts import closed_book_prompt
        from pipeline.language.rehearsal import kept_generations

        prompts = [closed_book_prompt(self.lm.tokenizer, question) for question in questions]
        unique, tokens, size = list(dict.fromkeys(prompts)), config.max_new_tokens, config.batch_size
        made = (
            kept_generations(self.lm, unique, tokens, size, progress=advance)
            if self.is_base
            else generate(self.lm, unique, max_new_tokens=tokens, batch_size=size, progress=advance)
        )
        advance(len(prompts) - len(unique))
        by_prompt = dict(zip(unique, made, strict=True))
        return prompts, [by_prompt[prompt] for prompt in prompts]

    def drift(self, base: LanguageModel, rows: Sequence[TrainingRow], advance: Advance) -> list[TokenDrift]:
        """Exact, over the whole vocabulary."""
        from pipeline.language.drift import token_drift

        return token_drift(base, self.lm, rows, advance)
