"""Digits learned by STDP alone: neurons compete for images, and labels only say afterwards what each stands for.

    layer = learn(images, config, generator)                        # one pass, no labels, no gradient
    shares = assign(respond(layer, images, config, generator), labels, classes=10)
    answers = classify(respond(layer, unseen, config, generator), shares)

As Diehl & Cook (2015, Front. Comput. Neurosci. 9:99): Poisson spikes of the pixels, LIF neurons, pair STDP, the sum of
a neuron's weights is kept, thresholds adapt so that all take part. The difference is in matrix form: inhibition is an
argmax, so that of a sample's neurons the one that is furthest above its threshold fires and all potentials begin
again; every spike is thereby a vote of its own over fresh evidence. `pipeline.plasticity.competitive` makes a learner
of the flow ``plasticity`` of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.config.plasticity import UnsupervisedConfig
from pipeline.plasticity.rule import new_rule

ANSWER_BATCH = 500  # images answered at once

OnBatch = Callable[[float], None]
"""Told how far the weights moved: the mean distance over neurons, whose weights have length 1."""


@dataclass(frozen=True)
class CompetingLayer:
    """What was learned.

    Attributes:
        weights: Rows of length 1, not negative, shape (N, P).
        thresholds: What adaptation adds to each neuron's threshold, shape (N,).
    """

    weights: Tensor
    thresholds: Tensor


def newborn(pixels: int, config: UnsupervisedConfig, generator: torch.Generator) -> CompetingLayer:
    """Random weights, equal thresholds."""
    weights = torch.rand(config.neurons, pixels, generator=generator)
    return CompetingLayer(_unit(weights), torch.zeros(config.neurons))


def encode(images: Tensor, steps: int, config: UnsupervisedConfig, generator: torch.Generator) -> Tensor:
    """Spikes of the pixels, independent from step to step, shape (T, B, P).

    Args:
        images: Grey values from 0, shape (B, P).
        steps: Time steps T.
        config: Its ``spikes`` is the length of an image's vector of probabilities.
        generator: Of the spikes.
    """
    probability = (_unit(images) * config.spikes).clamp(max=1)
    return (torch.rand(steps, *images.shape, generator=generator) < probability).float()


def compete(pre: Tensor, layer: CompetingLayer, config: UnsupervisedConfig) -> Tensor:
    """Spikes of the neurons, where they compete at most one a step and sample, shape (T, B, N).

    Args:
        pre: Spikes of the pixels, shape (T, B, P).
        layer: Its weights and thresholds.
        config: Membrane, threshold, and whether neurons compete.
    """
    steps, samples, _ = pre.shape
    current = (pre.flatten(0, 1) @ layer.weights.T).view(steps, samples, -1)
    left = math.exp(-config.step_ms / config.tau_membrane)
    potential, post = torch.zeros_like(current[0]), torch.zeros_like(current)
    sample = torch.arange(samples)
    for step in range(steps):
        potential = potential * left + current[step]
        if not config.competition:
            post[step] = (potential - layer.thresholds >= config.threshold).float()
            potential = potential * (1 - post[step])
            continue
        above, neuron = (potential - layer.thresholds).max(1)  # (B,)
        fires = above >= config.threshold
        post[step, sample, neuron] = fires.float()
        potential = potential * ~fires[:, None]
    return post


def learn(
    images: Tensor,
    config: UnsupervisedConfig,
    generator: torch.Generator,
    on_batch: OnBatch | None = None,
    layer: CompetingLayer | None = None,
) -> CompetingLayer:
    """See every image once, in random order.

    A batch's share of ``adaptation`` is such that thresholds can move as far over a short pass as over a long one:
    newborn neurons only ever fire once the thresholds of those that learned first have risen above theirs.

    Args:
        images: Grey values from 0, shape (M, P); uint8 or float.
        config: Network, rule and rates.
        generator: Of weights, order and spikes.
        on_batch: Called after every batch.
        layer: Where to begin; None is a newborn one.
    """
    layer, rule = layer or newborn(images.shape[1], config, generator), new_rule(config.rule)
    order = torch.split(torch.randperm(len(images), generator=generator), config.batch_size)
    step = config.adaptation * config.threshold * config.neurons / len(order)
    fall = config.learning_rate_end / config.learning_rate
    state: dict[str, Tensor] = {}
    for number, chosen in enumerate(order):
        done = number / len(order)
        pre = encode(images[chosen].float(), config.steps, config, generator)
        post = compete(pre, layer, config)
        change, state = rule.change(layer.weights, pre, post, rule.rested(state))
        fired = post.sum((0, 1))  # (N,)
        surplus = fired / fired.sum().clamp_min(1) - 1 / config.neurons
        weights = _unit((layer.weights + config.learning_rate * fall**done * change).clamp_min(0))
        if on_batch is not None:
            on_batch(float((weights - layer.weights).norm(dim=1).mean()))
        layer = CompetingLayer(weights, layer.thresholds + step * (1 - done) * surplus)
    return layer


def respond(layer: CompetingLayer, images: Tensor, config: UnsupervisedConfig, generator: torch.Generator) -> Tensor:
    """How often each neuron fires for each image, nothing being learned, shape (M, N); arguments as `learn`."""

    def counts() -> Iterator[Tensor]:
        for batch in torch.split(images, ANSWER_BATCH):
            yield compete(encode(batch.float(), config.answer_steps, config, generator), layer, config).sum(0)

    return torch.cat(list(counts()))


def assign(responses: Tensor, labels: Tensor, classes: int) -> Tensor:
    """What each neuron stands for: the share of its spikes that each class caused, shape (N, C).

    Args:
        responses: Of labelled training images, shape (M, N).
        labels: Their classes, shape (M,).
        classes: How many there are.
    """
    caused = torch.zeros(classes, responses.shape[1]).index_add_(0, labels.long(), responses) + 0.1  # nothing is sure
    return (caused / caused.sum(0)).T


def evidence(responses: Tensor, shares: Tensor) -> Tensor:
    """How much the spikes speak for each class, nats, shape (M, C).

    Every neuron that fired votes by the logarithm of its shares. Spikes of one neuron are no independent witnesses:
    their root counts.

    Args:
        responses: Of the images, shape (M, N).
        shares: See `assign`.
    """
    return responses.sqrt() @ shares.log()


def classify(responses: Tensor, shares: Tensor) -> Tensor:
    """The class that the spikes make likeliest, shape (M,); arguments as `evidence`."""
    return evidence(responses, shares).argmax(1)


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1; an empty one stays."""
    return torch.nn.functional.normalize(rows, dim=1, eps=1e-9)
