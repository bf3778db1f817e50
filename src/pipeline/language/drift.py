"""Compare the adapted model with the base token by token on text that nobody taught."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from pipeline.artifacts.footprint import return_freed_memory
from pipeline.evaluation.drift import TokenDrift
from pipeline.language.encoding import batches, collate, encode, run_lower, upper_logits
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import START, closed_book_prompt
from pipeline.language.rows import TrainingRow
from pipeline.suites.drift_text import DriftText
from pipeline.suites.types import Question

BATCH_TOKENS = 512
TIDY_EVERY = 16  # batches: they differ in size, and glibc would keep 8 GiB of free blocks by the end of all drift text


def drift_rows(lm: LanguageModel, texts: Sequence[DriftText], tokens: int | None) -> list[TrainingRow]:
    """Passages as rows, from the first on until ``tokens`` target tokens are reached (None takes all).

    A reply follows its rendered prompt; prose follows the start of a document.
    """
    rows: list[TrainingRow] = []
    taken = 0
    for text in texts:
        if tokens is not None and taken >= tokens:
            break
        asked = Question("", "", "", "test", text.prompt, "") if text.prompt is not None else None
        prompt = START if asked is None else closed_book_prompt(lm.tokenizer, asked)
        rows.append(TrainingRow(text.id, "text", "", text.domain, "test", prompt, text.text))
        taken += len(lm.tokenizer(text.text, add_special_tokens=False)["input_ids"])
    return rows


@torch.no_grad()
def token_drift(
    base: LanguageModel, post: LanguageModel, rows: Sequence[TrainingRow], progress: Callable[[int], None] | None = None
) -> list[TokenDrift]:
    """Exact KL(base || post) over the whole vocabulary, and both log-probabilities of the actual token; nats.

    Args:
        base: The untouched model.
        post: The adapted one, same tokenizer.
        rows: Rows whose ``form`` is the domain.
        progress: Called with the number of rows finished since the last call.
    """
    found: list[TokenDrift] = []
    encoded = encode(base, rows, shared_layers(base.model, post.model))
    run_lower(base, encoded)
    theirs = encoded
    if not _same_embeddings(base.model, post.model):  # a model that was trained as a whole
        theirs = encode(base, rows, 0)
        run_lower(post, theirs)
    parted = zip(*(batches(some, some.rows, BATCH_TOKENS) for some in (encoded, theirs)), strict=True)
    for number, (members, counterparts) in enumerate(parted):
        if number % TIDY_EVERY == 0:
            return_freed_memory()
        batch = collate(encoded, members)
        beside = batch if theirs is encoded else collate(theirs, counterparts)
        asked = ((base, encoded, batch), (post, theirs, beside))
        p, q = (torch.log_softmax(upper_logits(*each), dim=-1) for each in asked)
        lengths = [len(member.targets) for member in batch.rows]
        parts = ((p.exp() * (p - q)).sum(1), *(x.gather(1, batch.targets[:, None])[:, 0] for x in (p, q)))
        divided = (torch.split(part.cpu(), lengths) for part in parts)
        for member, kl, own, other in zip(batch.rows, *divided, strict=True):
            found.append(TokenDrift(member.row.form, kl.numpy(), own.numpy(), other.numpy()))
        if progress:
            progress(len(batch.rows))
    return found


def shared_layers(base: Any, post: Any) -> int:
    """How many lowest layers an adapter left as they were: both models compute them alike, so they run once."""
    if not _same_embeddings(base, post):
        return 0
    pairs = zip(base.model.layers, post.model.layers, strict=True)
    different = (
        index
        for index, layers in enumerate(pairs)
        if not all(map(torch.equal, *(layer.state_dict().values() for layer in layers)))
    )
    return next(different, len(base.model.layers))


def _same_embeddings(base: Any, post: Any) -> bool:
    return torch.equal(base.model.embed_tokens.weight, post.model.embed_tokens.weight)
