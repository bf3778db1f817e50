"""Token discrepancy: a wrong code costs as much as its vector is far from the right one.

L_D = mean over picture positions i of Σ_n D[y_i, n] p_i(n)

D holds squared distances of code vectors, divided by their mean. Li et al. 2025 (Multimodal Visualization-of-Thought),
arXiv:2501.07542. There is no distance without a codebook, so none is made up: it is an error.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.errors import ModelError


def code_distances(vectors: Tensor | None) -> Tensor:
    """Squared distances (K, K) of code vectors (K, D), divided by the mean over different codes.

    Raises:
        ModelError: There is no codebook, or its codes are all the same.
    """
    if vectors is None or len(vectors) < 2:
        raise ModelError(
            "the token-discrepancy loss needs a codebook of two codes or more, found none; train one first, or set the "
            "loss's weight to 0"
        )
    squared = torch.cdist(vectors.double(), vectors.double()).square()
    mean = squared.sum() / (len(vectors) * (len(vectors) - 1))
    if not float(mean) > 0:
        raise ModelError(
            "the token-discrepancy loss needs different codes, found a codebook whose codes are all the same"
        )
    return (squared / mean).to(vectors.dtype)


def token_discrepancy(logits: Tensor, codes: Tensor, distances: Tensor) -> Tensor:
    """The loss of predicted codes, a scalar.

    Args:
        logits: Of codes alone, (..., K).
        codes: The right ones, int64 (...).
        distances: See `code_distances`, (K, K).
    """
    return (logits.softmax(-1) * distances[codes]).sum(-1).mean()
