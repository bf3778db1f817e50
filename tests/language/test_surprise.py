"""Surprise is the mean −log p of a text's tokens, its first one left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.language.models import LanguageModel
from pipeline.language.prompts import START
from pipeline.language.surprise import token_surprise
from tests.language.examples import tokens_of

TEXTS = ["Mona Hale shopped.", "Otto Lund went to the quarry on 5 May, and it rained the whole day.", "Go on.", "x"]


def brute_force(lm: LanguageModel, text: str, context: str) -> float:
    before, own = tokens_of(lm, START + context), tokens_of(lm, " " + text)
    with torch.no_grad():
        log_probs = torch.log_softmax(lm.model(torch.tensor([before + own])).logits[0].double(), -1)
    nats = [-float(log_probs[len(before) - 1 + i, token]) for i, token in enumerate(own)]
    return float(np.mean(nats[1:] if len(nats) > 1 else nats))


@pytest.mark.parametrize("context", ["", "Yesterday was a long day. It is told here."])
def test_it_equals_brute_force(tiny: LanguageModel, context: str) -> None:
    expected = [brute_force(tiny, text, context) for text in TEXTS]
    np.testing.assert_allclose(token_surprise(tiny, TEXTS, context=context), expected, rtol=1e-4)
    assert len(set(expected)) == len(expected)


def test_order_and_company_do_not_matter(tiny: LanguageModel) -> None:
    alone = np.concatenate([token_surprise(tiny, [text], context="Once. ") for text in TEXTS])
    np.testing.assert_allclose(token_surprise(tiny, TEXTS[::-1], context="Once. "), alone[::-1], rtol=1e-4)
    assert token_surprise(tiny, []).shape == (0,)


def test_the_mean_of_a_short_text_shrinks_towards_the_prior(tiny: LanguageModel) -> None:
    means = token_surprise(tiny, TEXTS, context="Once. ")
    tokens = np.array([max(len(tokens_of(tiny, " " + text)) - 1, 1) for text in TEXTS])
    shrunk = token_surprise(tiny, TEXTS, context="Once. ", prior=(12.0, 2.5))
    np.testing.assert_allclose(shrunk, (tokens * means + 12 * 2.5) / (tokens + 12), rtol=1e-6)
