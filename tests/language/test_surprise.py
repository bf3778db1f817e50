"""Surprise is the mean −log p of a text's tokens, or of the words of a sentence, the first one left out."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from pipeline.language.models import LanguageModel
from pipeline.language.prompts import START
from pipeline.language.surprise import token_surprise, word_surprise
from tests.language.examples import tokens_of

TEXTS = ["Mona Hale shopped.", "Otto Lund went to the quarry on 5 May, and it rained the whole day.", "Go on.", "x"]


def token_nats(lm: LanguageModel, text: str, context: str) -> list[float]:
    before, own = tokens_of(lm, START + context), tokens_of(lm, " " + text)
    with torch.no_grad():
        log_probs = torch.log_softmax(lm.model(torch.tensor([before + own])).logits[0].double(), -1)
    return [-float(log_probs[len(before) - 1 + i, token]) for i, token in enumerate(own)]


def brute_force(lm: LanguageModel, text: str, context: str) -> float:
    nats = token_nats(lm, text, context)
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


def word_nats(lm: LanguageModel, text: str, context: str = "") -> list[float]:
    """Nats between the blanks of a text without punctuation."""
    sums: list[float] = []
    for token, nats in zip(tokens_of(lm, " " + text), token_nats(lm, text, context), strict=True):
        if lm.tokenizer.decode([token]).startswith(" "):
            sums.append(0.0)
        sums[-1] += nats
    return sums


def test_a_word_takes_the_nats_of_all_its_tokens_and_the_first_one_does_not_count(tiny: LanguageModel) -> None:
    texts = ["Mona Hale's bicycle went to Zürich on 20 May", "I know 5 of them", "Hello"]
    found = word_surprise(tiny, texts, context="Once. ")
    expected = [np.mean(words[1:] or words) for words in (word_nats(tiny, text, "Once.") for text in texts)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert found[0] > token_surprise(tiny, texts, context="Once. ")[0]  # its words are of several tokens


def test_punctuation_does_not_count_and_the_most_surprising_sentence_does(tiny: LanguageModel) -> None:
    """Colons, quotes and new lines end a sentence; a point inside a number or a time does not."""
    text = 'As I said: "Mona came at 10:30." Go on!\nOtto paid 3.5 crowns'
    parts = ["As I said: ", '"Mona came at 10:30." ', "Go on!\n", "Otto paid 3.5 crowns"]
    nats, tokens = token_nats(tiny, text, ""), tokens_of(tiny, " " + text)
    pieces = [tiny.tokenizer.decode([token]) for token in tokens]
    assert "".join(pieces) == " " + text
    sums, at, ends = [{} for _ in parts], -1, np.cumsum([len(part) for part in parts])  # type: ignore[var-annotated]
    for piece, own in zip(pieces, nats, strict=True):
        at += len(piece)
        last = max(at - 1, 0)  # its last character, in the text without the blank before it
        number = int(np.searchsorted(ends, last, side="right"))
        word = next((m.start() for m in re.finditer(r"\s?\w+", text) if m.start() <= last < m.end()), None)
        if word is not None:
            sums[number][word] = sums[number].get(word, 0.0) + own
    means = [np.mean(list(words.values())[1:]) for words in sums]
    assert word_surprise(tiny, [text])[0] == pytest.approx(max(means), rel=1e-4)


def test_a_sentence_shrinks_towards_the_prior_as_if_it_had_more_words(tiny: LanguageModel) -> None:
    words = word_nats(tiny, "Mona went home")
    (found,) = word_surprise(tiny, ["Mona went home"], prior=(12.0, 2.5))
    assert found == pytest.approx((sum(words[1:]) + 12 * 2.5) / 14, rel=1e-4)


def test_a_text_without_words_has_the_mean_of_its_tokens(tiny: LanguageModel) -> None:
    assert np.isfinite(word_surprise(tiny, ["?!", "x"])).all() and word_surprise(tiny, []).shape == (0,)
    assert word_surprise(tiny, ["?!"])[0] == pytest.approx(brute_force(tiny, "?!", ""), rel=1e-4)
