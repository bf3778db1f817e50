"""How surprising a text is to the frozen model: what the write gate calls surprise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.language.encoding import batches, collate, encode, run_lower, upper_logits
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import START
from pipeline.language.rows import TrainingRow

BATCH_TOKENS = 1024


@torch.no_grad()
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
    prompt = START + context.rstrip()
    rows = [TrainingRow(str(i), "text", "", "surprise", "train", prompt, " " + text) for i, text in enumerate(texts)]
    encoded = encode(lm, rows, first_layer=len(lm.model.model.layers))
    run_lower(lm, encoded)
    found: dict[str, float] = {}
    for members in batches(encoded, encoded.rows, BATCH_TOKENS):
        batch = collate(encoded, members)
        log_probs = torch.log_softmax(upper_logits(lm, encoded, batch), dim=-1)
        nats = -log_probs.gather(1, batch.targets[:, None])[:, 0]
        for member, part in zip(batch.rows, torch.split(nats, [len(m.targets) for m in batch.rows]), strict=True):
            counted = part[1:] if len(part) > 1 else part
            found[member.row.row_id] = float((counted.sum() + tokens * usual) / (len(counted) + tokens))
    return np.array([found[row.row_id] for row in rows], dtype=np.float64)
