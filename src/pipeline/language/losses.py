"""What a step minimises: cross-entropy on what was replayed, that a namesake is not taken for its subject, an anchor to
the base on everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from pipeline.config.language import LoraConfig
from pipeline.language.encoding import Batch, EncodedRow, EncodedRows, batches, collate, upper_hidden
from pipeline.language.models import LanguageModel
from pipeline.language.rows import GENERAL, UNTAUGHT

MICRO_BATCH_TOKENS = {"cpu": 4096, "cuda": 16384}  # tokens per backward pass: a whole step, unless it is a large one


def soft_target_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """(N,) KL(teacher || student) per position, the teacher known by its top k and the mass of the rest; nats.

    Args:
        student: (N, k) log-probabilities of the teacher's most likely tokens, nats.
        teacher: (N, k) the teacher's own.
    """
    known = teacher.exp()
    rest = (1 - known.sum(1)).clamp_min(1e-6)
    student_rest = (1 - student.exp().sum(1)).clamp_min(1e-6)
    return (known * (teacher - student)).sum(1) + rest * (rest.log() - student_rest.log())


class _HeadLogProbs(torch.autograd.Function):
    """log softmax(h Wᵀ) at some tokens, with as few passes over the (M, vocabulary) matrix as there can be.

    Shapes: h (M, width), W (vocabulary, width) frozen, ids (M, k), result (M, k) float32.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, ids: Tensor) -> Tensor:
        log_probs = torch.log_softmax((hidden @ weight.t()).float(), dim=-1)
        ctx.log_probs, ctx.weight, ctx.ids = log_probs, weight, ids
        return log_probs.gather(1, ids)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        to_logits = ctx.log_probs.exp_().mul_(-gradient.sum(1, keepdim=True)).scatter_add_(1, ctx.ids, gradient)
        return to_logits.to(ctx.weight.dtype) @ ctx.weight, None, None


def head_log_probs(lm: LanguageModel, encoded: EncodedRows, batch: Batch, ids: Tensor) -> Tensor:
    """(M, k) float32 log-probabilities in nats of the tokens ``ids`` (M, k) at the target positions."""
    hidden = lm.model.model.norm(upper_hidden(lm, encoded, batch))
    head: Any = _HeadLogProbs.apply
    found: Tensor = head(hidden, lm.model.lm_head.weight, ids)
    return found


@dataclass(frozen=True)
class StepLoss:
    """Means of one step in nats: per token (``cross_entropy``, the first token's with its margin) or per row.

    ``by_row`` is the cross-entropy per token of every learned row.
    """

    total: float
    cross_entropy: float
    unlikelihood: float
    anchor: float
    distil: float
    by_row: dict[str, float]


def likelihood(surprise: Tensor, margin: float) -> Tensor:
    """−log p of a token that has to come, as if its logit were lower by ``margin``, from its true −log p; nats.

    What is right by less than the margin goes on being learned (additive margin softmax, Wang et al. 2018).
    """
    return softplus(margin - _log_odds(surprise))


def unlikelihood(surprise: Tensor, margin: float) -> Tensor:
    """−log(1 − p) of a token that must not come (Welleck et al. 2020), as if its logit were higher by ``margin``."""
    return softplus(margin + _log_odds(surprise))


def _log_odds(surprise: Tensor) -> Tensor:
    """log p / (1 − p) from −log p, at most 11.5: closer to certainty float32 cannot tell."""
    surprise = surprise.clamp_min(1e-5)
    return -surprise - torch.log(-torch.expm1(-surprise))


def batch_losses(
    lm: LanguageModel, encoded: EncodedRows, batch: Batch, margin: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """(4,) sums: cross-entropy per token; unlikelihood per namesake; KL per row of general rehearsal, of distillation.

    The second value holds each learned row's own mean cross-entropy.
    """
    lengths = [len(row.targets) for row in batch.rows]
    teacher_ids, teacher = _teacher(batch)
    log_probs = head_log_probs(lm, encoded, batch, torch.cat([batch.targets[:, None], teacher_ids], dim=1))
    cross, divergence = -log_probs[:, 0], soft_target_loss(log_probs[:, 1:], teacher)
    sums = [cross.new_zeros(()) for _ in range(4)]
    by_row: dict[str, Tensor] = {}
    for row, own, soft in zip(batch.rows, torch.split(cross, lengths), torch.split(divergence, lengths), strict=True):
        if row.row.kind not in UNTAUGHT:
            first = likelihood(own[0], margin if row.row.kind == "question" else 0.0)
            sums[0] = sums[0] + first + own[1:].sum()
            by_row[row.row.row_id] = own.detach().mean()
        if row.row.kind == "namesake":
            sums[1] = sums[1] + unlikelihood(own[0], margin)
        if row.row.top_ids:
            which = soft_loss_of(row)
            sums[which] = sums[which] + soft.mean()
    return torch.stack(sums), by_row


def _teacher(batch: Batch) -> tuple[Tensor, Tensor]:
    """(M, k) tokens and log-probabilities of the soft targets; rows without any repeat their target, k at least 1."""
    width = max((len(row.row.top_ids[0]) for row in batch.rows if row.row.top_ids), default=1)
    ids: list[Sequence[int]] = []
    values: list[Sequence[float]] = []
    for row in batch.rows:
        ids += row.row.top_ids or [[token] * width for token in row.targets]
        values += row.row.top_log_probs or [[0.0] * width for _ in row.targets]
    device = batch.targets.device
    return torch.tensor(ids, device=device), torch.tensor(values, device=device)


def soft_loss_of(row: EncodedRow) -> int:
    """Which sum the soft targets of a row belong to: 2 general rehearsal, 3 distillation."""
    return 2 if row.row.kind in GENERAL else 3


def accumulate_gradients(
    lm: LanguageModel, encoded: EncodedRows, rows: list[EncodedRow], config: LoraConfig
) -> StepLoss:
    """Backward over the micro-batches of one step."""
    tokens = sum(len(r.targets) for r in rows if r.row.kind not in UNTAUGHT)
    namesakes = sum(1 for r in rows if r.row.kind == "namesake")
    soft = [sum(1 for r in rows if r.row.top_ids and soft_loss_of(r) == which) for which in (2, 3)]
    scale = 1 / torch.tensor([tokens, namesakes, *soft], device=lm.device).clamp_min(1)
    weights = torch.tensor([1.0, config.unlikelihood, config.anchor_weight, config.distil_weight], device=lm.device)
    parts = torch.zeros(4, device=lm.device)
    by_row: dict[str, Tensor] = {}
    for members in batches(encoded, rows, MICRO_BATCH_TOKENS[lm.device.type]):
        sums, own = batch_losses(lm, encoded, collate(encoded, members), config.margin)
        losses = sums * scale
        (weights * losses).sum().backward()  # type: ignore[no-untyped-call]
        parts += losses.detach()
        by_row |= own
    cross, namesake, general, distil = parts.tolist()
    own_losses = {name: float(loss) for name, loss in by_row.items()}
    return StepLoss(float((weights * parts).sum()), cross, namesake, general, distil, own_losses)
