"""RAG: the memory stays on, and nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.bench.methods.registry import Learned, Task, register_method
from pipeline.config.examination import EvaluationConfig
from pipeline.evaluation.drift import TokenDrift
from pipeline.evaluation.types import Retriever
from pipeline.protocol.entrants import Advance, Weights
from pipeline.suites.types import Question

if TYPE_CHECKING:
    from pipeline.language.generation import Generation
    from pipeline.language.models import LanguageModel
    from pipeline.language.rows import TrainingRow


@register_method("rag", "the base with its memory on, nothing trained")
def rag(task: Task) -> Learned:
    """The product's own store and prompt: the best memory beside every question, general ones included."""
    from pipeline.stages.memory import identity_of
    from pipeline.stores import EpisodicStore
    from pipeline.stores.encoder import SentenceEncoder
    from pipeline.stores.episode import episode_of
    from pipeline.stores.retriever import StoreRetriever

    encoder = SentenceEncoder(task.config.encoder)
    store = EpisodicStore("default", task.config.store, identity_of(encoder))
    lived = [*task.facts, *task.others]
    task.progress.phase("writing the memory")
    rows = [episode_of(fact, source="suite", created=number) for number, fact in enumerate(lived)]
    store.write(store.candidates(rows, encoder.encode([fact.text for fact in lived])), enforce=False)
    return Learned(lambda base: Recalling(base, StoreRetriever(store, encoder)), 0)


@dataclass(frozen=True)
class Recalling:
    """The base beside a memory; system prompts and earlier turns are not shown, as in every memory prompt."""

    lm: LanguageModel
    retriever: Retriever
    closed_book: bool = False

    def answer(
        self, questions: Sequence[Question], config: EvaluationConfig, advance: Advance
    ) -> tuple[list[str], list[Generation]]:
        """Retrieve once a question, and decode against the prompt without the memory."""
        from pipeline.language.generation import generate
        from pipeline.language.prompts import memory_prompt

        asked = [question.question for question in questions]
        told = self.retriever.retrieve(asked, 1)
        prompts = [memory_prompt(q, [m.text for m in found]) for q, found in zip(asked, told, strict=True)]
        made = generate(
            self.lm,
            prompts,
            max_new_tokens=config.max_new_tokens,
            batch_size=config.batch_size,
            one_line=True,
            against=[memory_prompt(question, []) for question in asked],
            contrast=config.memory_contrast,
            progress=advance,
        )
        return prompts, made

    def drift(self, base: LanguageModel, rows: Sequence[TrainingRow], advance: Advance) -> list[TokenDrift]:
        """None: the weights are the base's; text is not retrieved for."""
        return Weights(self.lm).drift(base, rows, advance)
