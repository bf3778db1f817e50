"""The column network: every column is a small spiking network of its own, and a mask weighs their answers.

    logits = sum_c mask_c (readout_c . rate_c + bias_c),   rate_c = LIF(encoder_c image + prompted_c prompt + current_c)

Each column has its own readout, so that nothing is shared between columns with separate masks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.columns.lif import firing_rate, rate_and_slope
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
        weighed = self.readout[at] * mask.view(-1, 1, 1)  # (len(chosen), H, K)
        return torch.addmm(mask @ self.bias[at], rates.flatten(1), weighed.flatten(0, 1))

    def forward(self, images: Tensor, prompt: Tensor, mask: Tensor, chosen: Tensor) -> Tensor:
        """Logits, shape (B, K)."""
        return self.answer_with_rates(images, prompt, mask, chosen)[0]

    def answer_with_rates(self, images: Tensor, prompt: Tensor, mask: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K), and the firing rates behind them (B, len(chosen), H)."""
        if not torch.is_grad_enabled():
            rates = self.rates(images, prompt, chosen)
            return self.answer(rates, mask, chosen), rates
        at, parameters = consecutive(chosen), (self.encoder, self.prompted, self.current, self.readout, self.bias)
        logits, rates = _Answer.apply(self.config, at, images, prompt, mask, *parameters)  # type: ignore[no-untyped-call]
        return logits, rates.view(len(images), len(chosen), -1)


class _Answer(torch.autograd.Function):
    """`ColumnNetwork.rates` and `answer` in one, gradients by hand: half as many operators as autograd needs."""

    @staticmethod
    def forward(
        ctx: Any,
        config: ColumnModelConfig,
        at: slice | Tensor,
        images: Tensor,
        prompt: Tensor,
        mask: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        encoder, prompted, current, readout, bias = (parameter[at] for parameter in parameters)
        constant = torch.addmv(current.flatten(), prompted.flatten(0, 1), prompt)
        currents = torch.addmm(constant, images, encoder.flatten(0, 1).T)  # (B, len(mask) * H)
        if config.neuron == "relu":
            rates, slopes = torch.relu(currents), (currents > 0).to(currents.dtype)
        else:
            neuron = (config.time_steps, config.beta, config.surrogate_alpha)
            rates, slopes = rate_and_slope(currents, *neuron, differentiated=any(ctx.needs_input_grad))
        weighed = (readout * mask.view(-1, 1, 1)).flatten(0, 1)  # (len(mask) * H, K)
        ctx.at = at
        ctx.save_for_backward(images, prompt, mask, rates, slopes, weighed, *parameters)
        return torch.addmm(mask @ bias, rates, weighed), rates

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        images, prompt, mask, rates, slopes, weighed, *parameters = ctx.saved_tensors
        at, (encoder, prompted, current, readout, bias), (of_logits, of_rates) = ctx.at, parameters, outputs
        of_currents, of_logit = torch.addmm(of_rates, of_logits, weighed.T).mul_(slopes), of_logits.sum(0)
        of_constant = of_currents.sum(0).view(len(mask), -1)  # (len(mask), H)
        of_weighed = (rates.T @ of_logits).view(len(mask), -1, len(of_logit))  # (len(mask), H, K)
        return (
            None,
            None,
            of_currents @ encoder[at].flatten(0, 1) if ctx.needs_input_grad[2] else None,
            of_constant.flatten() @ prompted[at].flatten(0, 1) if ctx.needs_input_grad[3] else None,
            (of_weighed * readout[at]).sum((1, 2)) + bias[at] @ of_logit if ctx.needs_input_grad[4] else None,
            _product(encoder, at, of_currents.T, images),
            _whole(prompted, at, of_constant.unsqueeze(2) * prompt),
            _whole(current, at, of_constant),
            _whole(readout, at, of_weighed * mask.view(-1, 1, 1)),
            _whole(bias, at, torch.outer(mask, of_logit)),
        )


def _whole(parameter: Tensor, at: slice | Tensor, gradient: Tensor) -> Tensor:
    """A gradient of the chosen columns among zeros for the others, in the parameter's shape."""
    whole = torch.zeros_like(parameter)
    whole[at] = gradient
    return whole


def _product(parameter: Tensor, at: slice | Tensor, left: Tensor, right: Tensor) -> Tensor:
    """`_whole` of ``left @ right``, which is large and written where it belongs at once."""
    if not isinstance(at, slice):
        return _whole(parameter, at, (left @ right).view(len(at), *parameter.shape[1:]))
    whole = torch.empty_like(parameter)
    whole[: at.start], whole[at.stop :] = 0, 0
    torch.mm(left, right, out=whole[at].flatten(0, 1))
    return whole


def consecutive(chosen: Tensor) -> slice | Tensor:
    """Indices as a slice where they follow one another: that is a view of a parameter, and no copy."""
    indices = chosen.tolist()
    if indices == list(range(indices[0], indices[0] + len(indices))):
        return slice(indices[0], indices[-1] + 1)
    return chosen


def parameters_by_column(network: ColumnNetwork) -> Mapping[str, Tensor]:
    """Every parameter by name; the first axis of each is the column."""
    return dict(network.named_parameters())
