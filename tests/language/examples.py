"""Rows and facts that several tests of the language model use."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pipeline.language.models import LanguageModel
from pipeline.language.prompts import START, closed_book_prompt, memory_prompt
from pipeline.language.rows import Kind, TrainingRow
from pipeline.suites.types import Fact, Question, Split

NAMES = ("Mona Hale", "Otto Lund", "Vera Falk", "Yuri Sato")
PLACES = ("harbour", "tannery", "quarry", "chapel")
FORMS = ("Where did {} shop?", "At which place did {} shop?", "{} shopped: where?", "Say where {} went to shop.")


def question(number: int, form: int, split: Split = "train") -> Question:
    """One of the ways to ask where a person shopped."""
    text = FORMS[form].format(NAMES[number])
    return Question(f"f{number}", "person_place", f"person_place/{split}-{form}", split, text, PLACES[number])


def facts(count: int = 3) -> list[Fact]:
    """People with three train questions and one probe question each."""
    return [
        Fact(
            f"f{i}",
            f"{NAMES[i]} shopped at the {PLACES[i]}.",
            subject=NAMES[i],
            relation="person_place",
            statements=(f"{NAMES[i]} went to the {PLACES[i]}.",),
            questions=(*(question(i, form) for form in range(3)), question(i, 3, "probe")),
        )
        for i in range(count)
    ]


def question_rows(lm: LanguageModel, count: int = 3) -> list[TrainingRow]:
    """Question rows of `facts`, targets without soft labels."""
    return [
        TrainingRow(
            f"{q.item_id}/{q.form}",
            "question",
            q.item_id,
            q.form,
            q.split,
            closed_book_prompt(lm.tokenizer, q),
            q.answer + lm.tokenizer.eos_token,
        )
        for fact in facts(count)
        for q in fact.questions
    ]


def text_row(name: str, text: str, kind: Kind = "text") -> TrainingRow:
    """Running text."""
    return TrainingRow(name, kind, "", kind, "train", START, text)


def general_rows(count: int = 8) -> list[TrainingRow]:
    """Short general rehearsal. It does not begin with `START`, whose embedding is zero in the tiny model."""
    words = ("old", "new", "sad", "slow", "loud", "last", "long", "low")
    return [
        TrainingRow(f"g{i}", "short", "", "short", "train", "At the harbour", f" the choir sang {word} songs.")
        for i, word in enumerate(words[:count])
    ]


def mixed_rows(lm: LanguageModel) -> list[TrainingRow]:
    """Rows of several shared prefixes and of none, with prompts of very different lengths."""
    rows = question_rows(lm)
    rows += [text_row(f"t{i}", "The choir sang " * (i + 1)) for i in range(3)]
    for i, fact in enumerate(facts(2)):
        prompt = memory_prompt(fact.questions[0].question, [fact.text])
        rows.append(TrainingRow(f"m{i}", "memory", fact.id, "memory", "train", prompt, f" {PLACES[i]}\n"))
    rows.append(TrainingRow("alone", "short", "", "short", "train", "Once upon a time there was", " a king."))
    return rows


def plain_logits(lm: LanguageModel, row: TrainingRow) -> torch.Tensor:
    """(T, vocabulary) logits at the target positions by the model's own forward pass, one row at a time."""
    prompt = lm.tokenizer(row.prompt, add_special_tokens=False)["input_ids"]
    target = lm.tokenizer(row.target, add_special_tokens=False)["input_ids"]
    logits = lm.model(torch.tensor([prompt + target])).logits[0]
    return logits[len(prompt) - 1 : -1].float()


def tokens_of(lm: LanguageModel, text: str) -> list[int]:
    """Token ids without special tokens added."""
    ids: list[int] = lm.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def by_row(values: torch.Tensor, lengths: Sequence[int]) -> list[torch.Tensor]:
    """Split (N, …) values into one part per row."""
    return list(values.split(list(lengths)))
