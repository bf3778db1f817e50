"""The model that ships, in float32: its prompts, and the same greedy answers as transformers."""

from __future__ import annotations

import pytest
import torch

from pipeline.config.language import ModelConfig
from pipeline.language.generation import generate
from pipeline.language.models import LanguageModel, load_for_evaluation
from pipeline.language.prompts import START, closed_book_prompt, memory_prompt
from pipeline.suites.types import Question
from tests.language.test_generation import reference

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return load_for_evaluation(ModelConfig(device="cpu"))


def asked(text: str, system: str | None = None) -> Question:
    return Question("", "fact", "fact/test-1", "test", text, "", system=system)


def test_a_closed_book_prompt_is_its_chat_format(lm: LanguageModel) -> None:
    assert closed_book_prompt(lm.tokenizer, asked("Where is Paris?")) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nWhere is Paris?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert lm.tokenizer.eos_token == "<|im_end|>" and lm.tokenizer(START)["input_ids"] == [0]
    assert lm.model.dtype == torch.float32 and len(lm.model.model.layers) == 30


def test_generations_equal_those_of_transformers(lm: LanguageModel) -> None:
    questions = [asked("What is the capital of France?"), asked("Name a colour.", "Be brief."), asked("Hi!")]
    prompts = [*(closed_book_prompt(lm.tokenizer, question) for question in questions), "Once upon a time"]
    for prompt, made in zip(prompts, generate(lm, prompts, max_new_tokens=12), strict=True):
        tokens = reference(lm, prompt, 12, stop=lm.tokenizer.eos_token_id)
        assert made.text == lm.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        assert made.new_tokens == len(tokens)


def test_a_memory_prompt_is_answered_from_its_text(lm: LanguageModel) -> None:
    told = [
        ("Mona Hale bought a lantern at the harbour.", "harbour"),
        ("Mona Hale bought a lantern at the mill.", "mill"),
    ]
    prompts = [memory_prompt("Where did Mona Hale buy the lantern?", [text]) for text, _ in told]
    assert [g.text for g in generate(lm, prompts, max_new_tokens=8, one_line=True)] == [answer for _, answer in told]
