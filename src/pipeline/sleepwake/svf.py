"""Adaptation by singular values: W' = U diag(σ ⊙ z) Vᵀ, one number z for every singular value of a frozen matrix.

cache = SvdCache()
adapted = SingularValueLinear(linear, cache.decompose(checkpoint, "blocks.0.up.weight", linear.weight), config)

z begins at one, where W' = W up to rounding, since nothing of the decomposition is left out. Sun et al. 2025
(Transformer²), arXiv:2501.06252; the factor Σσ / Σσz stands in the authors' code alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear as apply_linear

from pipeline.config.sleepwake import SvfConfig


@dataclass(frozen=True)
class Decomposition:
    """A full singular value decomposition of a matrix (O, I), R = min(O, I).

    Attributes:
        left: U, (O, R).
        values: σ, descending, (R,).
        right: Vᵀ, (R, I).
    """

    left: Tensor
    values: Tensor
    right: Tensor

    def matrix(self, scales: Tensor, keep_sum: bool = False) -> Tensor:
        """U diag(σ ⊙ z) Vᵀ, (O, I), for scales z (R,), times Σσ / Σσz if the sum of singular values is kept."""
        scaled = self.values * scales
        if keep_sum:
            scaled = scaled * self.values.sum() / scaled.sum()
        return (self.left * scaled) @ self.right


def decompose(weight: Tensor) -> Decomposition:
    """The full decomposition of a matrix (O, I), computed in double precision, in the matrix's own."""
    left, values, right = torch.linalg.svd(weight.detach().double(), full_matrices=False)
    return Decomposition(left.to(weight.dtype), values.to(weight.dtype), right.to(weight.dtype))


def checkpoint_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the names, kinds, shapes and bytes of all weights of a checkpoint."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class SvdCache:
    """Decompositions by checkpoint and parameter: other weights are another checkpoint, so nothing grows stale.

    Attributes:
        hits: Calls that were answered from the cache.
        misses: Calls that computed.
        seconds: Spent on computing.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Decomposition] = {}
        self.hits, self.misses, self.seconds = 0, 0, 0.0

    def decompose(self, checkpoint: str, name: str, weight: Tensor) -> Decomposition:
        """The decomposition of a parameter.

        Args:
            checkpoint: Digest of all weights, see `checkpoint_digest`.
            name: Of the parameter in it.
            weight: Its value, (O, I).
        """
        key = (checkpoint, name)
        if key in self._kept:
            self.hits += 1
            return self._kept[key]
        started = time.perf_counter()
        self._kept[key] = decompose(weight)
        self.misses += 1
        self.seconds += time.perf_counter() - started
        return self._kept[key]

    def keep_only(self, checkpoint: str) -> None:
        """Drop what belongs to other checkpoints, as after a sleep that changed the weights."""
        self._kept = {key: value for key, value in self._kept.items() if key[0] == checkpoint}

    def __len__(self) -> int:
        return len(self._kept)


class SingularValueLinear(nn.Module):
    """A frozen linear layer whose singular values are scaled; ``scales`` is all that learns.

    Args:
        layer: Whose bias is taken over, frozen too.
        parts: The decomposition of its weight.
        config: Whether the sum of singular values is kept.
    """

    left: Tensor
    values: Tensor
    right: Tensor

    def __init__(self, layer: nn.Linear, parts: Decomposition, config: SvfConfig) -> None:
        super().__init__()
        self.keep_sum = config.keep_sum
        for name in ("left", "values", "right"):
            self.register_buffer(name, getattr(parts, name).clone())
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())
        self.scales = nn.Parameter(torch.ones_like(parts.values))

    def weight(self) -> Tensor:
        """W', (O, I)."""
        return Decomposition(self.left, self.values, self.right).matrix(self.scales, self.keep_sum)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (..., I) to outputs (..., O)."""
        return apply_linear(inputs, self.weight(), self.get_buffer("bias") if self.bias is not None else None)


@contextmanager
def full_products() -> Iterator[None]:
    """Matrix products of float32 in float32 while it lasts, on a GPU too."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def identity_error(weight: Tensor, parts: Decomposition, config: SvfConfig) -> float:
    """Largest absolute difference of W and W' at z = 1, by products that do not round to TF32 whatever is allowed."""
    with full_products():
        rebuilt = parts.matrix(torch.ones_like(parts.values), config.keep_sum)
    return float((rebuilt - weight.detach()).abs().max())
