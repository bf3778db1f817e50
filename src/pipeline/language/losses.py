"""What a step minimises: cross-entropy on what was replayed, an anchor to the base on everything else."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.config.language import LoraConfig
from pipeline.language.encoding import Batch, EncodedRow, EncodedRows, batches_by_width, collate, upper_logits
from pipeline.language.models import LanguageModel
from pipeline.language.rows import ANCHORED, CONTRAST, GENERAL

MICRO_BATCH_TOKENS = {"cpu": 1024, "cuda": 16384}  # padded tokens per backward pass; a GPU wants few launches


def soft_target_loss(logits: Tensor, ids: Tensor, log_probs: Tensor) -> Tensor:
    """(N,) KL(teacher || student) per position, the teacher known by its top k and the mass of the rest; nats.

    Args:
        logits: (N, vocabulary) of the student.
        ids: (N, k) the teacher's most likely tokens.
        log_probs: (N, k) their log-probabilities, nats.
    """
    student = torch.log_softmax(logits, dim=-1).gather(1, ids)
    teacher = log_probs.exp()
    rest = (1 - teacher.sum(1)).clamp_min(1e-6)
    student_rest = (1 - student.exp().sum(1)).clamp_min(1e-6)
    return (teacher * (log_probs - student)).sum(1) + rest * (rest.log() - student_rest.log())


@dataclass(frozen=True)
class StepLoss:
    """Means of one step: in nats per token (``cross_entropy``) or per row.

    ``by_row`` is the cross-entropy per token of every learned row.
    """

    total: float
    cross_entropy: float
    contrast: float
    anchor: float
    distil: float
    by_row: dict[str, float]


def batch_losses(lm: LanguageModel, encoded: EncodedRows, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """(4,) sums over a batch: cross-entropy per token; KL per row of contrast, general and distilled rows.

    The second value holds each learned row's own mean cross-entropy.
    """
    logits = upper_logits(lm, encoded, batch)
    cross = torch.nn.functional.cross_entropy(logits, batch.targets, reduction="none")
    lengths = [len(row.targets) for row in batch.rows]
    sums = [logits.new_zeros(()) for _ in range(4)]
    by_row: dict[str, Tensor] = {}
    soft: list[tuple[int, Tensor, EncodedRow]] = []
    for row, part, scores in zip(batch.rows, torch.split(cross, lengths), torch.split(logits, lengths), strict=True):
        if row.row.kind not in ANCHORED:
            sums[0] = sums[0] + part.sum()
            by_row[row.row.row_id] = part.detach().mean()
        if row.row.top_ids:
            soft.append((1 + loss_of(row), scores, row))
    if soft:
        ids = torch.tensor([i for _, _, row in soft for i in row.row.top_ids], device=logits.device)
        values = torch.tensor([v for _, _, row in soft for v in row.row.top_log_probs], device=logits.device)
        divergence = soft_target_loss(torch.cat([scores for _, scores, _ in soft]), ids, values)
        for (which, _, _), part in zip(soft, torch.split(divergence, [len(s) for _, s, _ in soft]), strict=True):
            sums[which] = sums[which] + part.mean()
    return torch.stack(sums), by_row


def loss_of(row: EncodedRow) -> int:
    """Which soft-target loss a row belongs to: 0 contrast, 1 general rehearsal, 2 distillation."""
    return 0 if row.row.kind in CONTRAST else 1 if row.row.kind in GENERAL else 2


def accumulate_gradients(
    lm: LanguageModel, encoded: EncodedRows, rows: list[EncodedRow], config: LoraConfig
) -> StepLoss:
    """Backward over the micro-batches of one step."""
    tokens = sum(len(r.targets) for r in rows if r.row.kind not in ANCHORED)
    soft = [sum(1 for r in rows if r.row.top_ids and loss_of(r) == which) for which in range(3)]
    scale = 1 / torch.tensor([tokens, *soft], device=lm.device).clamp_min(1)
    weights = torch.tensor([1.0, config.contrast_weight, config.anchor_weight, config.distil_weight], device=lm.device)
    parts = torch.zeros(4, device=lm.device)
    by_row: dict[str, Tensor] = {}
    for members in batches_by_width(rows, MICRO_BATCH_TOKENS[lm.device.type]):
        sums, own = batch_losses(lm, encoded, collate(members))
        losses = sums * scale
        (weights * losses).sum().backward()  # type: ignore[no-untyped-call]
        parts += losses.detach()
        by_row |= own
    cross, contrast, general, distil = parts.tolist()
    own_losses = {name: float(loss) for name, loss in by_row.items()}
    return StepLoss(float((weights * parts).sum()), cross, contrast, general, distil, own_losses)
