"""From asks to rendered prompts, and the proof that a closed book is closed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from pipeline.errors import DataError
from pipeline.evaluation.arms import GENERAL_ARMS, Ask
from pipeline.evaluation.scoring import mentions
from pipeline.suites.types import Fact, Question

ClosedBookPrompt = Callable[[Question], str]
MemoryPrompt = Callable[[str, Sequence[str]], str]

_WORD = re.compile(r"[^\W_]+")


@lru_cache(maxsize=1 << 16)
def _spaced(text: str) -> str:
    """Lower-cased words between single spaces; punctuation and special tokens separate words."""
    return " " + " ".join(_WORD.findall(text.lower())) + " "


def holds(text: str, phrase: str) -> bool:
    """Whether ``phrase`` stands in ``text`` as whole words, however punctuation is read."""
    return mentions(text, phrase) or (bool(phrase.strip()) and _spaced(phrase) in _spaced(text))


def leaked_answer(question: Question, text: str) -> str | None:
    """The gold or alias that ``text`` holds as whole words, if any."""
    return next((right for right in (question.answer, *question.aliases) if holds(text, right)), None)


def asked_text(question: Question) -> str:
    """All that a closed-book prompt may add to the template: system prompt, earlier turns, question."""
    turns = [turn for pair in question.history for turn in pair]
    return "\n".join([question.system or "", *turns, question.question])


def render(asks: Sequence[Ask], closed_book_prompt: ClosedBookPrompt, memory_prompt: MemoryPrompt) -> list[str]:
    """The prompt of every ask: the question alone, or the question with its retrieved texts."""
    return [
        closed_book_prompt(ask.question)
        if ask.memories is None
        else memory_prompt(ask.question.question, [memory.text for memory in ask.memories])
        for ask in asks
    ]


def check_closed_book(
    asks: Sequence[Ask], prompts: Sequence[str], facts: Mapping[str, Fact], boilerplate: str = ""
) -> None:
    """Prove that no memory-OFF prompt holds its answer or its fact.

    Two exceptions: the word Yes or No in a question that is to be answered by it (its fact may not stand there), and
    what the model itself said earlier in the same dialogue (``Ask.said``).

    Args:
        asks: What is asked; arms with memories and general questions are not closed book.
        prompts: The rendered prompt of each ask.
        facts: Taught facts by id.
        boilerplate: The template around an empty question; its own words betray nothing.

    Raises:
        DataError: a prompt holds the gold, an alias, or the text of the fact, as whole words.
    """
    for ask, prompt in zip(asks, prompts, strict=True):
        if ask.memories is not None or ask.arm in GENERAL_ARMS:
            continue
        question = ask.question
        leak = None if ask.is_verdict else leaked_answer(question, asked_text(question))
        rendered = None if ask.is_verdict else leaked_answer(question, prompt)
        if leak is None and rendered is not None and not holds(boilerplate, rendered):
            leak = rendered
        fact = facts.get(question.item_id)
        told = fact.text if fact is not None and holds(prompt, fact.text) else None
        leak = next((text for text in (leak, told) if text and not any(holds(said, text) for said in ask.said)), None)
        if leak is not None:
            raise DataError(
                f"closed book broken: arm {ask.arm}, item {question.item_id!r}, form {question.form!r}: the prompt "
                f"holds {leak!r}. A memory-OFF prompt must not contain its answer or its fact; rephrase the question "
                f"{question.question!r}."
            )
