"""Initial weights whose size follows from a matrix's inputs, for models too narrow for the customary 0.02."""

from __future__ import annotations

import torch
from torch import Tensor, nn

GAIN = 0.8
"""Times inputs^−0.5; at 0.02 a model 64 wide attends evenly to everything for hundreds of steps."""


def scale_by_inputs(model: nn.Module, seed: int, smaller: tuple[str, ...] = ()) -> None:
    """Draw all matrices of a model anew, in place, normal with deviation GAIN · inputs^−0.5.

    Args:
        model: An embedding counts by its width.
        seed: Of the draws.
        smaller: Ends of names of matrices that begin at a fifth of that, as those that add to a residual stream.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                share = 0.2 if name.endswith(smaller) else 1.0
                weight.copy_(_normal(weight, generator) * (share * GAIN * weight.shape[1] ** -0.5))


def _normal(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Of the shape of a weight; drawn on the CPU, so that every device gets the same."""
    return torch.randn(weight.shape, generator=generator).to(weight.device)
