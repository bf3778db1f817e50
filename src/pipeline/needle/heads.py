"""Heads over states: unitary keys, normalised values, and the gate that decides what is written."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from pipeline.needle.core import bounded

SMALLEST = 1e-6


def unitary(vectors: Tensor) -> Tensor:
    """Spectra (..., D/2 + 1) of vectors (..., D), every magnitude set to 1: binding by one is exactly undone.

    Ganesan et al. 2021, arXiv 2109.02157.
    """
    spectrum = torch.fft.rfft(vectors)
    phases: Tensor = spectrum / spectrum.abs().clamp_min(SMALLEST)
    return phases


class VectorHead(nn.Module):
    """A linear map whose spectral norm is at most 1, if it is to be.

    Args:
        inputs: Numbers of a state.
        outputs: Numbers of a vector.
        spectral: Whether the norm is bounded.
    """

    def __init__(self, inputs: int, outputs: int, spectral: bool) -> None:
        super().__init__()
        self.spectral = spectral
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, states: Tensor) -> Tensor:
        """States (..., inputs) to vectors (..., outputs)."""
        return linear(
            states, bounded(self.linear.weight, 1.0) if self.spectral else self.linear.weight, self.linear.bias
        )


class KeyHead(VectorHead):
    """Keys in the frequency domain.

    Args:
        inputs: Numbers of a state.
        outputs: Numbers D of a key.
        spectral: Whether the map's norm is bounded.
        unit: Whether keys are unitary; else they only have norm 1.
    """

    def __init__(self, inputs: int, outputs: int, spectral: bool, unit: bool = True) -> None:
        super().__init__(inputs, outputs, spectral)
        self.unit = unit

    def forward(self, states: Tensor) -> Tensor:
        """States (..., inputs) to spectra of keys (..., D/2 + 1), complex."""
        vectors = super().forward(states)
        return unitary(vectors) if self.unit else torch.fft.rfft(normalize(vectors, dim=-1))


class ValueHead(VectorHead):
    """Values of norm 1.

    Args:
        inputs: Numbers of a state.
        outputs: Numbers D of a value.
        spectral: Whether the map's norm is bounded.
        dropout: Share of numbers that training drops.
    """

    def __init__(self, inputs: int, outputs: int, spectral: bool, dropout: float) -> None:
        super().__init__(inputs, outputs, spectral)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        """States (..., inputs) to values (..., D)."""
        return normalize(self.dropout(super().forward(states)), dim=-1)


class GateHead(nn.Module):
    """Logits of writing at a position; the gate is their sigmoid.

    Args:
        inputs: Numbers of a state.
        bias: Subtracted: without learning nothing is written.
    """

    def __init__(self, inputs: int, bias: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 1)
        with torch.no_grad():
            self.linear.bias.fill_(-bias)

    def forward(self, states: Tensor) -> Tensor:
        """States (..., inputs) to logits (...)."""
        logits: Tensor = self.linear(states)
        return logits.squeeze(-1)
