"""How surprising a text is to the frozen model: per token, or as the write gate counts it, per word."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.language.likelihood import target_log_probs
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import START
from pipeline.language.rows import TrainingRow

_WORD = re.compile(r"\s*\w+(?:['’]\w+)*")
_SENTENCE_END = re.compile(r"[.:;!?…][\"'”’)\]]*(?=\s)|\n")


def token_surprise(
    lm: LanguageModel, texts: Sequence[str], *, context: str = "", prior: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float64]:
    """Mean −log p per token of each text after ``context``, its first token and the context not counted.

    The mean of a few tokens says little: "It depends." has a high one, and nothing to remember. ``prior`` counts as so
    many more tokens of so many nats, towards which the mean of a short text shrinks.

    Args:
        lm: The frozen base.
        texts: n texts of two tokens or more.
        context: Running text that is read first.
        prior: Tokens, and nats of each; none by default.

    Returns:
        (n,) nats per token.
    """
    tokens, usual = prior
    nats = [part[1:] if len(part) > 1 else part for part in _target_nats(lm, texts, context)]
    return np.array([float((n.sum() + tokens * usual) / (len(n) + tokens)) for n in nats], dtype=np.float64)


def word_surprise(
    lm: LanguageModel, texts: Sequence[str], *, context: str = "", prior: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float64]:
    """Mean −log p per word of the most surprising sentence of each text after ``context``.

    A word takes the nats of all its tokens: a name of four tokens is one surprise, of which the first token has nearly
    all. Punctuation is left out, and so is the first word of every sentence, which says what it is about: nobody can
    foresee that bees are spoken of, but what they make is known. ``prior`` counts as so many more words of so many
    nats in every sentence, so that a short one must be the more surprising; a sentence of one word is that word.

    Args:
        lm: The frozen base; its tokenizer must tell where in the text a token stands.
        texts: n texts. A colon ends a sentence too.
        context: Running text that is read first.
        prior: Words, and nats of each; none by default.

    Returns:
        (n,) nats per word; for a text without words nats per token.
    """
    words, usual = prior
    found = []
    for text, nats in zip(texts, _target_nats(lm, texts, context), strict=True):
        sentences = _sentences(f" {text}", _offsets(lm, f" {text}"), nats) or [nats.tolist()]
        counted = [sentence[1:] or sentence for sentence in sentences]
        found.append(max((sum(own) + words * usual) / (len(own) + words) for own in counted))
    return np.array(found, dtype=np.float64)


def _target_nats(lm: LanguageModel, texts: Sequence[str], context: str) -> list[Tensor]:
    """−log p of every token of each text after the context."""
    prompt = START + context.rstrip()
    rows = [TrainingRow(str(i), "text", "", "surprise", "train", prompt, " " + text) for i, text in enumerate(texts)]
    return [-part for part in target_log_probs(lm, rows)]


def _offsets(lm: LanguageModel, text: str) -> list[tuple[int, int]]:
    """Where each token begins and ends in the text."""
    encoded = lm.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return [(int(start), int(end)) for start, end in encoded["offset_mapping"]]


def _sentences(text: str, offsets: Sequence[tuple[int, int]], nats: Tensor) -> list[list[float]]:
    """Nats of every word, sentence by sentence; a token is part of the word that holds its last character."""
    words = [match.span() for match in _WORD.finditer(text)]
    owner = np.full(len(text) + 1, -1)
    for number, (start, end) in enumerate(words):
        owner[start:end] = number
    sums = torch.zeros(len(words), dtype=torch.float64)
    for (_, end), own in zip(offsets, nats.double(), strict=True):
        if (number := int(owner[max(end - 1, 0)])) >= 0:
            sums[number] += own
    ends = [match.start() for match in _SENTENCE_END.finditer(text)]
    sentence_of = np.searchsorted(ends, [start for start, _ in words], side="right")
    return [sums[sentence_of == number].tolist() for number in np.unique(sentence_of)]
