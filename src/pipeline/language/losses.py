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

from pipeline.language.encoding import Batch, EncodedRow, EncodedRows, upper_hidden
from pipeline.language.models import LanguageModel
from pipeline.language.packing import placed
from pipeline.language.rows import GENERAL, UNTAUGHT

MICRO_BATCH_TOKENS = {"cpu": 4096, "cuda": 8192}  # tokens per backward pass: a whole step, unless it is a large one


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
    return log_probs_of(lm, upper_hidden(lm, encoded, batch), ids)


def log_probs_of(lm: LanguageModel, hidden: Tensor, ids: Tensor) -> Tensor:
    """The same from (M, width) ``hidden``, the last layer's output before the final norm."""
    head: Any = _HeadLogProbs.apply
    found: Tensor = head(lm.model.model.norm(hidden), lm.model.lm_head.weight, ids)
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
    use: float
    by_row: dict[str, float]


def likelihood(surprise: Tensor, margin: Tensor | float) -> Tensor:
    """−log p of a token that has to come, as if its logit were lower by ``margin``, from its true −log p; nats.

    What is right by less than the margin goes on being learned (additive margin softmax, Wang et al. 2018).
    """
    return softplus(margin - _log_odds(surprise))


def unlikelihood(surprise: Tensor, margin: Tensor | float) -> Tensor:
    """−log(1 − p) of a token that must not come (Welleck et al. 2020), as if its logit were higher by ``margin``."""
    return softplus(margin + _log_odds(surprise))


def _log_odds(surprise: Tensor) -> Tensor:
    """log p / (1 − p) from −log p, at most 11.5: closer to certainty float32 cannot tell."""
    surprise = surprise.clamp_min(1e-5)
    return -surprise - torch.log(-torch.expm1(-surprise))


USE_TOKENS = 8
"""As many tokens as a row of kind ``use`` counts for at most: a told fact must not drown three questions."""

SUMS = 6
"""Of a step: cross-entropy per token; unlikelihood per namesake; KL per row of general rehearsal, of distillation, of
what is to be forgotten; cross-entropy per token of what puts facts to use."""
SOFT = (2, 3, 4)  # sums of soft targets
USE = 5


@dataclass(frozen=True)
class Objective:
    """What every target position of a batch (M of them) adds to which sum.

    Attributes:
        ids: (M, 1 + k) the target token, then the teacher's most likely tokens.
        teacher: (M, k) the teacher's log-probabilities of those, nats.
        margin: (M,) logits taken from the target, or added where it must not come; 0 but for first tokens.
        weights: (SUMS, M) of the position in each sum.
    """

    ids: Tensor
    teacher: Tensor
    margin: Tensor
    weights: Tensor


def objective(batch: Batch, margin: float, width: int | None = None) -> Objective:
    """What a batch minimises; ``width`` is k, which all rows with soft targets have, and by default the batch's own."""
    width = width or teacher_width(batch.rows)
    ids: list[Sequence[int]] = []
    values: list[Sequence[float]] = []
    margins: list[float] = []
    weights: list[list[float]] = [[] for _ in range(SUMS)]
    for row in batch.rows:
        size, kind = len(row.targets), row.row.kind
        known = row.row.top_ids or [[token] * width for token in row.targets]
        ids += [[token, *top] for token, top in zip(row.targets, known, strict=True)]
        values += row.row.top_log_probs or [[0.0] * width] * size
        margins += [margin if kind in ("question", "namesake") else 0.0, *[0.0] * (size - 1)]
        for which in (0, USE):
            weights[which] += [token_weight(row) if (which == USE) == (kind == "use") else 0.0] * size
        weights[1] += [float(kind == "namesake"), *[0.0] * (size - 1)]
        for which in SOFT:
            weights[which] += [1 / size if row.row.top_ids and soft_loss_of(row) == which else 0.0] * size
    device = batch.targets.device
    return Objective(*(placed(some, device) for some in (ids, values, margins, weights)))


def token_weight(row: EncodedRow) -> float:
    """What each target token of a row counts in its mean cross-entropy of a step."""
    if row.row.kind == "use":
        return min(1.0, USE_TOKENS / len(row.targets))
    return float(row.row.kind not in UNTAUGHT)


def teacher_width(rows: Sequence[EncodedRow]) -> int:
    """Most tokens that a teacher's soft target holds, at least 1."""
    return max((len(row.row.top_ids[0]) for row in rows if row.row.top_ids), default=1)


def weighted_sums(log_probs: Tensor, goal: Objective) -> tuple[Tensor, Tensor]:
    """The (SUMS,) sums of a batch, and the (M,) cross-entropy of every position; ``log_probs`` is (M, 1 + k)."""
    cross, divergence = -log_probs[:, 0], soft_target_loss(log_probs[:, 1:], goal.teacher)
    wanted = torch.where(goal.margin > 0, likelihood(cross, goal.margin), cross)
    parts = torch.stack([wanted, unlikelihood(cross, goal.margin), divergence, divergence, divergence, cross])
    return (goal.weights * parts).sum(1), cross.detach()


def soft_loss_of(row: EncodedRow) -> int:
    """Which sum the soft targets of a row belong to: 2 general rehearsal, 3 distillation, 4 forgetting."""
    return 2 if row.row.kind in GENERAL else 4 if row.row.kind == "forget" else 3
