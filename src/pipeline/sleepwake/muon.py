"""Muon for a CPU: its steps are PyTorch's, orthogonalised in float32 and matrices of one shape together.

PyTorch's own runs Newton–Schulz in bfloat16, one matrix after the other. That is what a GPU wants; a CPU without
instructions for it emulates each product, and an optimiser's step took longer than the model's two passes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


def orthogonalised(matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """Matrices (N, R, C) with their singular values brought to about 1, .7 to 1.2.

    The quintic Newton–Schulz iteration X ← a X + (b A + c A²) X with A = X Xᵀ, Jordan et al. 2024,
    https://kellerjordan.github.io/posts/muon.

    Args:
        matrices: Float32.
        coefficients: a, b and c.
        steps: Iterations.
        eps: Least norm that is divided by.
    """
    a, b, c = coefficients
    tall = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if tall else matrices
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp_min(eps)
    for _ in range(steps):
        gram = found @ found.mT
        found = torch.baddbmm(found, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.mT if tall else found


class CpuMuon(torch.optim.Muon):
    """`torch.optim.Muon` in steps as large as AdamW's, see the module; its state and settings are as there.

    Args:
        weights: Matrices on a CPU.
        lr: Learning rate.
        weight_decay: Likewise.
    """

    def __init__(self, weights: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(weights, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step; ``closure`` is refused.

        Raises:
            ValueError: There is a closure.
        """
        if closure is not None:
            raise ValueError("expected no closure: gradients are there when a step is taken")
        for group in self.param_groups:
            shapes = defaultdict[torch.Size, list[tuple[Tensor, Tensor]]](list)
            for weight in group["params"]:
                if weight.grad is not None:
                    update = self._nesterov(weight, weight.grad, group["momentum"])
                    shapes[weight.shape].append((weight, update))
            for shape, pairs in shapes.items():
                updates = torch.stack([update for _, update in pairs])
                updates = orthogonalised(updates, group["ns_coefficients"], group["ns_steps"], group["eps"])
                rate = group["lr"] * 0.2 * max(shape) ** 0.5  # Liu et al. 2025, arXiv:2502.16982: AdamW's mean square
                for (weight, _), update in zip(pairs, updates, strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)

    def _nesterov(self, weight: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        """The gradient with Nesterov's momentum, whose mean is kept in the optimiser's state."""
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        mean: Tensor = state["momentum_buffer"]
        mean.lerp_(gradient, 1 - momentum)
        return gradient.lerp(mean, momentum)
