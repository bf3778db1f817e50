"""What is measured on a task's images: accuracy, kept and new errors, and what the masks and spikes look like."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.columns.brain import Brain
from pipeline.columns.lif import spike_trains
from pipeline.columns.tasks import Examples


def wrong(brain: Brain, examples: Examples, asked_as: str) -> Tensor:
    """Which examples are answered wrongly under a task's prompt and mask, shape (N,) bool."""
    with torch.no_grad():
        return (brain.logits(examples.images, asked_as) > 0) != (examples.answers > 0.5)


def accuracy(brain: Brain, examples: Examples, asked_as: str) -> float:
    """Share of right answers, 0 to 1."""
    return 1 - float(wrong(brain, examples, asked_as).double().mean())


@dataclass(frozen=True)
class Overlap:
    """How the student errs beside its teacher.

    Attributes:
        kept: Share of the teacher's errors that the student makes too; None if the teacher makes none. It says
            nothing about new errors.
        jaccard: Errors of both over errors of either; None if neither errs.
        agreement: Share of examples that both answer alike.
    """

    kept: float | None
    jaccard: float | None
    agreement: float


def overlap(before: Tensor, after: Tensor) -> Overlap:
    """Compare errors before and after sleep, each of shape (N,) bool; answers are binary, so like errors agree."""
    both, either = int((before & after).sum()), int((before | after).sum())
    errors = int(before.sum())
    return Overlap(
        kept=both / errors if errors else None,
        jaccard=both / either if either else None,
        agreement=float((before == after).float().mean()),
    )


def mask_entropy(mask: Tensor) -> float:
    """Entropy of a mask in nats."""
    return float(-(mask * mask.clamp_min(1e-12).log()).sum())


@dataclass(frozen=True)
class Spiking:
    """Activity of the columns that a task uses.

    Attributes:
        rate: Spikes a neuron and step, 0 to 1, weighted by the mask.
        spikes: Spikes per image in all columns whose mask is at least `IN_USE`.
        synaptic_operations: Accumulations that these spikes cause in the readout, and the multiplications of the
            encoder, which sees an analogue image once.
        energy: Estimate for an image in nanojoule: arithmetic alone in 45 nm CMOS at 32 bits (Horowitz 2014).
    """

    rate: float
    spikes: float
    synaptic_operations: float
    energy: float


IN_USE = 0.01  # of the mask
MULTIPLY_ADD, ADD = 4.6e-3, 0.9e-3  # nJ
ROUNDING = 1e-5  # spikes a neuron and step: two orders of rounding may differ on a potential at the threshold


def spiking(brain: Brain, examples: Examples, asked_as: str) -> Spiking:
    """Count real spikes, by SpikingJelly, on a task's images.

    Raises:
        ValueError: A spike is neither 0 nor 1, or the rates that the network uses are not those of the spikes, but
            for rounding.
    """
    network, controller = brain.network, brain.controller
    mask, chosen = controller.mask(asked_as).detach(), controller.bank(asked_as)
    with torch.no_grad():
        prompt = controller.prompt(asked_as)
        currents = network.currents(examples.images, prompt, chosen)  # (B, K, H)
        spikes = spike_trains(currents, network.config.time_steps, network.config.beta)  # (T, B, K, H)
        rates = network.rates(examples.images, prompt, chosen)
    if not bool(((spikes == 0) | (spikes == 1)).all()):
        raise ValueError("spikes are not binary")
    difference = float((spikes.mean(0) - rates).abs().mean())
    if difference > ROUNDING:
        raise ValueError(f"the network's rates differ from those of its spikes by {difference:.1e} spikes a step")
    used = mask >= IN_USE
    per_image = float(spikes[:, :, used].sum() / len(examples))
    inputs = (network.encoder[0].numel() + network.prompted[0].numel()) * int(used.sum())
    return Spiking(
        rate=float((spikes.mean((0, 1, 3)) * mask).sum() / mask.sum()),
        spikes=per_image,
        synaptic_operations=per_image + inputs,
        energy=inputs * MULTIPLY_ADD + per_image * ADD,
    )
