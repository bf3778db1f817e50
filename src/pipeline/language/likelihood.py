"""How likely a given continuation is under the model, without generating anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.language.encoding import batches, collate, encode, run_lower, upper_logits
from pipeline.language.models import LanguageModel
from pipeline.language.rows import TrainingRow

BATCH_TOKENS = 1024
ROWS_TOGETHER = 512  # rows whose hidden states are held at once: 60 MB at 50 tokens of 576 bf16 numbers


@torch.no_grad()
def target_log_probs(
    lm: LanguageModel, rows: Sequence[TrainingRow], progress: Callable[[int], None] | None = None
) -> list[Tensor]:
    """Log-probabilities of the target tokens of every row, nats.

    Args:
        lm: The model, with or without an adapter.
        rows: n rows with different ids; their prompts are read, their targets scored.
        progress: Called with the number of rows finished since the last call.

    Returns:
        n tensors of float32, one number a target token, in the order of ``rows``.
    """
    found: dict[str, Tensor] = {}
    for start in range(0, len(rows), ROWS_TOGETHER):
        encoded = encode(lm, rows[start : start + ROWS_TOGETHER], first_layer=len(lm.model.model.layers))
        run_lower(lm, encoded)
        for members in batches(encoded, encoded.rows, BATCH_TOKENS):
            batch = collate(encoded, members)
            log_probs = torch.log_softmax(upper_logits(lm, encoded, batch), dim=-1)
            own = log_probs.gather(1, batch.targets[:, None])[:, 0].cpu()
            for member, part in zip(batch.rows, torch.split(own, [len(m.targets) for m in batch.rows]), strict=True):
                found[member.row.row_id] = part
            if progress:
                progress(len(batch.rows))
    return [found[row.row_id] for row in rows]


def answer_log_probs(
    lm: LanguageModel,
    prompts: Sequence[str],
    answers: Sequence[str],
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Mean log-probability per token of each answer after its prompt, the end of the turn counted as a token.

    Args:
        lm: The model, with or without an adapter.
        prompts: n rendered prompts that end where an answer begins.
        answers: n answers.
        progress: Called with the number of answers finished since the last call.

    Returns:
        (n,) nats per token, at most 0.
    """
    end = lm.tokenizer.eos_token
    rows = [
        TrainingRow(str(i), "text", "", "answer", "test", prompt, answer + end)
        for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
    ]
    return np.array([float(part.mean()) for part in target_log_probs(lm, rows, progress)], dtype=np.float64)
