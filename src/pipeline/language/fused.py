"""LoRA products for training, with fewer passes over memory than the layer-by-layer form.

PEFT computes ``W x + (alpha / r) B A x`` as five separate operations with casts between them. On a CPU at a few hundred
rows those passes cost as much as the products, so training replaces them by fused ones; weights, file format and result
are PEFT's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline.language.adapter import adapted_layers


class _LoraProduct(torch.autograd.Function):
    """y = x Wᵀ + s (x Aᵀ) Bᵀ for a frozen W.

    Shapes: x (N, in), W (out, in), A (r, in), B (out, r), y (N, out). A and B are float32; products run in x's type.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
        low, up = a.to(x.dtype), b.to(x.dtype)
        reduced = x @ low.t()  # (N, r)
        ctx.save_for_backward(x, reduced, weight, low, up)
        ctx.scale = scale
        return torch.addmm(x @ weight.t(), reduced, up.t(), alpha=scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, reduced, weight, low, up = ctx.saved_tensors
        inner = (gradient @ up).mul_(ctx.scale)  # (N, r)
        to_x = torch.addmm(gradient @ weight, inner, low) if ctx.needs_input_grad[0] else None
        return to_x, None, (inner.t() @ x).float(), (gradient.t() @ reduced).float().mul_(ctx.scale), None


@contextmanager
def fused_lora(model: Any) -> Iterator[None]:
    """Within the block, the adapter's linear layers of ``model`` use the fused product."""
    layers = list(adapted_layers(model).values())
    for layer in layers:
        layer.forward = _forward_of(layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _forward_of(layer: Linear) -> Any:
    (name,) = layer.active_adapters
    base, a, b, scale = layer.get_base_layer(), layer.lora_A[name], layer.lora_B[name], layer.scaling[name]

    product: Any = _LoraProduct.apply

    def forward(x: Tensor) -> Tensor:
        flat = product(x.reshape(-1, x.shape[-1]), base.weight, a.weight, b.weight, scale)
        if base.bias is not None:
            flat = flat + base.bias
        return flat.view(*x.shape[:-1], -1)  # type: ignore[no-any-return]

    return forward
