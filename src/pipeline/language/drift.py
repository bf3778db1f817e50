"""Compare the adapted model with the base token by token on text that nobody taught."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from pipeline.evaluation.drift import TokenDrift
from pipeline.language.encoding import Batch, EncodedRows, batches_by_width, collate, encode, run_lower, upper_logits
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import START, closed_book_prompt
from pipeline.language.rows import TrainingRow
from pipeline.suites.drift_text import DriftText
from pipeline.suites.types import Question

BATCH_TOKENS = 1024


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
    before, after = (_final(lm, rows) for lm in (base, post))
    pairs = {row.row.row_id: row for row in after.rows}
    for members in batches_by_width(before.rows, BATCH_TOKENS):
        batch = collate(members)
        p = _log_probs(base, before, batch)
        q = _log_probs(post, after, collate([pairs[m.row.row_id] for m in members]))
        lengths = [len(m.targets) for m in members]
        parts = ((p.exp() * (p - q)).sum(1), *(x.gather(1, batch.targets[:, None])[:, 0] for x in (p, q)))
        for member, kl, own, other in zip(members, *(torch.split(part.cpu(), lengths) for part in parts), strict=True):
            found.append(TokenDrift(member.row.form, kl.numpy(), own.numpy(), other.numpy()))
        if progress:
            progress(len(members))
    return found


def _final(lm: LanguageModel, rows: Sequence[TrainingRow]) -> EncodedRows:
    encoded = encode(lm, rows, first_layer=len(lm.model.model.layers))
    run_lower(lm, encoded)
    return encoded


def _log_probs(lm: LanguageModel, encoded: EncodedRows, batch: Batch) -> torch.Tensor:
    return torch.log_softmax(upper_logits(lm, encoded, batch), dim=-1)
