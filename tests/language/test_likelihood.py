"""The likelihood of an answer is the mean log p of its tokens, the end of the turn among them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.language import likelihood
from pipeline.language.likelihood import answer_log_probs
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import closed_book_prompt
from pipeline.suites.types import Question
from tests.language.examples import tokens_of

ASKED = ("Where did Mona Hale go?", "When?", "Who went to the old quarry beyond the river on a rainy Friday?")
ANSWERS = ("To the harbour, as she does on every other Friday of the year.", "5 May", "Otto.")


def prompt_of(lm: LanguageModel, text: str) -> str:
    return closed_book_prompt(lm.tokenizer, Question("", "", "", "test", text, ""))


def brute_force(lm: LanguageModel, prompt: str, answer: str) -> float:
    before, own = tokens_of(lm, prompt), tokens_of(lm, answer + lm.tokenizer.eos_token)
    with torch.no_grad():
        log_probs = torch.log_softmax(lm.model(torch.tensor([before + own])).logits[0].double(), -1)
    return float(np.mean([float(log_probs[len(before) - 1 + i, token]) for i, token in enumerate(own)]))


@pytest.mark.parametrize("together", [1, 2, 512])
def test_it_equals_brute_force_however_many_rows_are_held(
    tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(likelihood, "ROWS_TOGETHER", together)
    pairs = [(prompt_of(tiny, text), answer) for text in ASKED for answer in ANSWERS]
    prompts, answers = [prompt for prompt, _ in pairs], [answer for _, answer in pairs]
    counted: list[int] = []
    found = answer_log_probs(tiny, prompts, answers, counted.append)
    np.testing.assert_allclose(found, [brute_force(tiny, *pair) for pair in pairs], rtol=1e-4)
    assert sum(counted) == len(pairs) == len({round(value, 6) for value in found})


def test_every_prompt_needs_its_answer(tiny: LanguageModel) -> None:
    with pytest.raises(ValueError):
        answer_log_probs(tiny, ["a", "b"], ["c"])
    assert answer_log_probs(tiny, [], []).shape == (0,)
