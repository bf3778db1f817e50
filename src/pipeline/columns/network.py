"""The column network: every column is a small spiking network of its own, and a mask weighs their answers.

    logits = sum_c mask_c (readout_c . rate_c + bias_c),   rate_c = LIF(encoder_c image + prompted_c prompt + current_c)

Each column has its own readout, so that nothing is shared between columns with separate masks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pipeline.columns.lif import firing_rate
from pipeline.config.columns import ColumnModelConfig

PIXELS = 784
RESTING_CURRENT = 0.1  # of a fresh neuron: without it most are silent and have no gradient


class ColumnNetwork(nn.Module):
    """Columns of LIF neurons behind a mask.

    Args:
        columns: How many columns C.
        prompt_dim: Length P of the prompt vector.
        config: Neurons a column H, steps, decay.
        seed: Of the initial weights.
        outputs: Logits K; the tasks of the flow have one, that of the second class.
    """

    def __init__(self, columns: int, prompt_dim: int, config: ColumnModelConfig, seed: int, outputs: int = 1) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        inputs, hidden = PIXELS + prompt_dim, config.hidden_per_column

        def uniform(*shape: int, fan_in: int) -> nn.Parameter:
            return nn.Parameter((torch.rand(*shape, generator=generator) * 2 - 1) / math.sqrt(fan_in))

        encoder = uniform(columns, hidden, inputs, fan_in=inputs).detach()
        self.encoder = nn.Parameter(encoder[:, :, :PIXELS].clone())  # (C, H, 784)
        self.prompted = nn.Parameter(encoder[:, :, PIXELS:].clone())  # (C, H, P)
        self.current = nn.Parameter(torch.full((columns, hidden), RESTING_CURRENT))  # (C, H)
        self.readout = uniform(columns, hidden, outputs, fan_in=hidden)  # (C, H, K)
        self.bias = nn.Parameter(torch.zeros(columns, outputs))  # (C, K)

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return len(self.bias)

    def currents(self, images: Tensor, prompt: Tensor, chosen: Tensor) -> Tensor:
        """Input currents, shape (B, len(chosen), H).

        Args:
            images: Shape (B, 784), 0 to 1.
            prompt: Shape (P,).
            chosen: Indices of the columns to compute.
        """
        at = consecutive(chosen)
        constant = self.prompted[at] @ prompt + self.current[at]  # (len(chosen), H)
        drive = torch.addmm(constant.flatten(), images, self.encoder[at].flatten(0, 1).T)
        return drive.view(len(images), len(chosen), -1)

    def rates(self, images: Tensor, prompt: Tensor, chosen: Tensor) -> Tensor:
        """Firing rates in 0..1, or the activity of the twin without spikes; shape (B, len(chosen), H)."""
        currents = self.currents(images, prompt, chosen)
        if self.config.neuron == "relu":
            return torch.relu(currents)
        return firing_rate(currents, self.config.time_steps, self.config.beta, self.config.surrogate_alpha)

    def answer(self, rates: Tensor, mask: Tensor, chosen: Tensor) -> Tensor:
        """Logits from firing rates (B, len(chosen), H), shape (B, K); ``mask`` (len(chosen),) weighs the columns."""
        at = consecutive(chosen)
        weighed = (rates * mask.view(-1, 1)).flatten(1)  # (B, len(chosen) * H)
        return torch.addmm(mask @ self.bias[at], weighed, self.readout[at].flatten(0, 1))

    def forward(self, images: Tensor, prompt: Tensor, mask: Tensor, chosen: Tensor) -> Tensor:
        """Logits, shape (B, K)."""
        return self.answer(self.rates(images, prompt, chosen), mask, chosen)


def consecutive(chosen: Tensor) -> slice | Tensor:
    """Indices as a slice where they follow one another: that is a view of a parameter, and no copy."""
    first, last = int(chosen[0]), int(chosen[-1])
    if last - first + 1 == len(chosen) and bool((chosen.diff() == 1).all()):
        return slice(first, last + 1)
    return chosen


def parameters_by_column(network: ColumnNetwork) -> Mapping[str, Tensor]:
    """Every parameter by name; the first axis of each is the column."""
    return dict(network.named_parameters())
