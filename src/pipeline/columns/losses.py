"""What wake and sleep minimise beside the labels' cross-entropy."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.columns.network import ColumnNetwork
from pipeline.config.columns import ColumnSleepConfig

COLDEST = 1e-3  # temperature


def answered(
    network: ColumnNetwork, images: Tensor, prompt: Tensor, mask: Tensor, chosen: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits of a batch, and what its spikes cost.

    Args:
        network: Who answers.
        images: Shape (B, 784), 0 to 1.
        prompt: Shape (P,).
        mask: Weights of the columns, shape (K,).
        chosen: Their indices, shape (K,).

    Returns:
        Logits, shape (B,), and ``lambda_rate`` times the mean firing rate weighed by the mask, a scalar.
    """
    logits, rates = network.answer_with_rates(images, prompt, mask, chosen)
    if not network.config.lambda_rate:
        return logits.squeeze(1), torch.zeros(())
    each = network.config.lambda_rate / (rates.shape[0] * rates.shape[2])
    return logits.squeeze(1), torch.dot(rates.sum((0, 2)), mask * each)


def distillation_loss(student: Tensor, teacher: Tensor, answers: Tensor, config: ColumnSleepConfig) -> Tensor:
    """Cross-entropy to the teacher's tempered answers, times T squared (Hinton et al. 2015), and to the labels.

    Args:
        student: Logits, shape (B,).
        teacher: Logits, shape (B,).
        answers: True answers, shape (B,).
        config: Weights and temperature T.

    Returns:
        Each example's loss in nats, shape (B,).
    """
    heat = max(config.temperature, COLDEST)
    taught = binary_cross_entropy_with_logits(student / heat, torch.sigmoid(teacher / heat), reduction="none")
    loss = config.distillation_weight * max(1.0, heat) ** 2 * taught
    if config.label_weight:
        labelled = binary_cross_entropy_with_logits(student, answers, reduction="none")
        loss = loss + config.label_weight * labelled
    return loss
