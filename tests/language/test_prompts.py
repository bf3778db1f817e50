"""Closed book: nothing but the question. Memory on: worked examples that answer themselves, then the retrieved text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config.language import ModelConfig
from pipeline.evaluation.prompts import holds
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import HEADING, WORKED_EXAMPLES, closed_book_prompt, context_window, memory_prompt
from pipeline.suites.episodic import build_episodic
from pipeline.suites.types import Question

ASKED = Question("f", "fact", "fact/test-1", "test", "Where is Mona?", "pier", aliases=("quay",))


def test_a_closed_book_holds_the_question_alone(tiny: LanguageModel) -> None:
    prompt = closed_book_prompt(tiny.tokenizer, ASKED)
    assert prompt == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nWhere is Mona?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert closed_book_prompt(tiny.tokenizer, replace(ASKED, answer="x", item_id="y")) == prompt


def test_system_and_earlier_turns_come_first(tiny: LanguageModel) -> None:
    asked = replace(ASKED, system="Be brief.", history=(("Hi", "Hello."), ("And?", "Yes.")))
    prompt = closed_book_prompt(tiny.tokenizer, asked)
    parts = [
        "system\nBe brief.",
        "user\nHi",
        "assistant\nHello.",
        "user\nAnd?",
        "assistant\nYes.",
        "user\nWhere is Mona?",
    ]
    assert prompt == "".join(f"<|im_start|>{part}<|im_end|>\n" for part in parts) + "<|im_start|>assistant\n"


def test_a_memory_prompt_ends_where_the_answer_begins() -> None:
    prompt = memory_prompt("Where is Mona?", ["Mona is at the pier.", "It rains."])
    blocks = prompt.split("\n\n")
    assert blocks[0] == HEADING and len(blocks) == len(WORKED_EXAMPLES) + 2
    assert blocks[-1] == "Fact: Mona is at the pier. It rains.\nQ: Where is Mona?\nA:"
    assert blocks[1].endswith(f"\nA: {WORKED_EXAMPLES[0][2]}")


def test_without_memories_only_the_fact_is_missing() -> None:
    told, untold = memory_prompt("Where is Mona?", ["Mona is at the pier."]), memory_prompt("Where is Mona?", [])
    assert told.count(" Mona is at the pier.") == 1 and untold == told.replace(" Mona is at the pier.", "")
    assert untold.endswith("\n\nFact:\nQ: Where is Mona?\nA:")


@pytest.mark.parametrize(("fact", "question", "answer"), WORKED_EXAMPLES)
def test_worked_examples_are_answered_by_their_own_fact(fact: str, question: str, answer: str) -> None:
    assert holds(fact, answer) and not holds(question, answer)


def test_worked_examples_teach_nobody_of_the_suites() -> None:
    shown = " ".join(text for example in WORKED_EXAMPLES for text in example)
    for fact in build_episodic(50, 1337).taught:
        assert not fact.subject or not holds(shown, fact.subject)


def test_a_window_counts_what_a_memory_prompt_leaves(tiny: LanguageModel, tmp_path: Path) -> None:
    tiny.model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    config = ModelConfig(name=str(tmp_path))
    window = context_window(config, 1500, 24)
    texts = ["Mona is at the pier.", "It rains."]
    whole = window.length(memory_prompt("Where is Mona?", texts))
    parts = sum(window.length(f" {text}") for text in texts) + window.length("Where is Mona?")
    assert 0 <= (1500 - 24 - window.room) + parts - whole <= 2  # spaces at the seams may be tokens of their own
    assert context_window(config, 10**6, 24).room - context_window(config, 2048, 24).room == 0  # what the model reads
