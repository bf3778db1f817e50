"""From a raw read to logits: clean-up by prototypes, a blend of both, cosines, sharpening."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from pipeline.config.emma import ReadConfig


def clean(reads: Tensor, prototypes: Tensor, config: ReadConfig) -> Tensor:
    """Reads (..., D) of norm 1 snapped to the nearest prototypes (V, D) of norm 1; norm 1."""
    best, which = (reads @ prototypes.T).topk(min(config.cleanup_topk, len(prototypes)), dim=-1)
    weights = (
        torch.softmax(best / config.cleanup_temp, -1) if config.cleanup_mode == "softmax" else torch.ones_like(best)
    )
    return normalize((weights[..., None] * prototypes[which]).sum(-2), dim=-1)


def sharpen(logits: Tensor, config: ReadConfig) -> Tensor:
    """Logits (..., V) over the temperature, all but the largest put a margin below the smallest."""
    if not config.sharpen_topk:
        return logits
    logits = logits / config.sharpen_temp
    kept = logits.topk(min(config.sharpen_topk, logits.shape[-1]), dim=-1)
    floor = logits.min(-1, keepdim=True).values - config.sharpen_mask_margin
    return floor.expand_as(logits).scatter(-1, kept.indices, kept.values)


class Readout(nn.Module):
    """Prototypes of the answers and everything that compares with them.

    Args:
        config: Clean-up, blend and sharpening.
        values: Answers V.
        dimension: D.
        scale_max: Bound of the learned factor of cosines.
    """

    def __init__(self, config: ReadConfig, values: int, dimension: int, scale_max: float) -> None:
        super().__init__()
        self.config, self.scale_max = config, scale_max
        self.embedding = nn.Parameter(torch.randn(values, dimension) / dimension**0.5)
        self.raw_scale = nn.Parameter(torch.tensor(min(10.0, scale_max)))

    def prototypes(self) -> Tensor:
        """Prototypes of norm 1, (V, D)."""
        return normalize(self.embedding, dim=-1)

    def scale(self) -> Tensor:
        """The factor of cosines."""
        return (softplus(self.raw_scale) + 1e-3).clamp_max(self.scale_max)

    def logits(self, vectors: Tensor, prototypes: Tensor) -> Tensor:
        """Scaled cosines (..., V) of vectors (..., D) of norm 1 with prototypes (V, D)."""
        return self.scale() * (vectors @ prototypes.T)

    def forward(self, raw: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Raw reads (..., D) to logits (..., V), the normalised read and the cleaned one, both (..., D)."""
        raw = normalize(raw, dim=-1)
        cleaned = clean(raw, prototypes, self.config)
        blend = normalize((1 - self.config.cleanup_blend) * raw + self.config.cleanup_blend * cleaned, dim=-1)
        logits = self.logits(blend, prototypes)
        if not (self.training and self.config.sharpen_eval_only):
            logits = sharpen(logits, self.config)
        return logits, raw, cleaned
