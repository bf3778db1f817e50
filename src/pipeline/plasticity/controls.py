"""What STDP alone is compared with, on the same images and the same labels: none of them has spikes and sleep.

Each satisfies `pipeline.plasticity.protocol.Learner`: it wakes once and answers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from pipeline.config.plasticity import UnsupervisedConfig
from pipeline.continual.stream import Labelled
from pipeline.plasticity.competitive import CompetitiveLearner
from pipeline.plasticity.protocol import OnStep
from pipeline.plasticity.unsupervised import assign, evidence

_DECAY = 1e-4  # of the readout's squared weights, beside nats an image
_ITERATIONS = 100  # of L-BFGS


class _Control:
    """What all of them share.

    Args:
        config: How many labels there are, and how many neurons.
        outputs: How many classes there are.
        seed: Of everything random.
    """

    def __init__(self, config: UnsupervisedConfig, outputs: int, seed: int) -> None:
        self.config, self.outputs, self.seed = config, outputs, seed
        self.steps = 0

    def sleep(self, on_step: OnStep | None = None) -> None:
        """Nothing happens."""

    def _named(self, task: Labelled) -> Labelled:
        rows = slice(0, self.config.labelled_images)
        return Labelled(task.images[rows], task.labels[rows])


class Chance(_Control):
    """Always the commonest class of the labelled images."""

    def wake(self, task: Labelled, on_step: OnStep | None = None) -> None:
        """Count labels."""
        self.counts = torch.bincount(self._named(task).labels, minlength=self.outputs).float()

    def logits(self, images: Tensor) -> Tensor:
        """The counts, whatever is seen, (N, K)."""
        return self.counts.expand(len(images), -1)


class LinearReadout(_Control):
    """Softmax regression of the labels on the pixels, by gradients (L-BFGS) and from the labelled images alone."""

    def wake(self, task: Labelled, on_step: OnStep | None = None) -> None:
        """Fit weights and biases."""
        named = self._named(task)
        pixels = _with_bias(named.images)
        self.weights = torch.zeros(pixels.shape[1], self.outputs, requires_grad=True)
        optimiser = torch.optim.LBFGS([self.weights], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimiser.zero_grad()
            value = cross_entropy(pixels @ self.weights, named.labels) + _DECAY * self.weights.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            self.steps += 1
            return value

        optimiser.step(loss)  # type: ignore[no-untyped-call]

    def logits(self, images: Tensor) -> Tensor:
        """What the pixels add up to, (N, K)."""
        with torch.no_grad():
            return _with_bias(images) @ self.weights


class KMeans(_Control):
    """As many centres as neurons, moved by the same batches once (mini-batch k-means, Sculley 2010), named alike."""

    def wake(self, task: Labelled, on_step: OnStep | None = None) -> None:
        """Move centres, then name them by the images nearest to them."""
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(task), generator=generator)
        self.centres = task.images[order[: self.config.neurons]].float() / 255
        counts = torch.zeros(len(self.centres))
        for rows in torch.split(order, self.config.batch_size):
            images = task.images[rows].float() / 255
            near = one_hot(self._nearest(images), len(self.centres)).float()  # (B, N)
            new = near.sum(0)
            counts += new
            pulled = near.T @ images - new[:, None] * self.centres
            self.centres = self.centres + pulled / counts.clamp_min(1)[:, None]
            self.steps += 1
        named = self._named(task)
        self.shares = assign(self._responses(named.images), named.labels, self.outputs)

    def logits(self, images: Tensor) -> Tensor:
        """What the nearest centre stands for, (N, K)."""
        return evidence(self._responses(images), self.shares)

    def _responses(self, images: Tensor) -> Tensor:
        return one_hot(self._nearest(images.float() / 255), len(self.centres)).float()

    def _nearest(self, images: Tensor) -> Tensor:
        return (images @ self.centres.T - self.centres.square().sum(1) / 2).argmax(1)


class Untrained(CompetitiveLearner):
    """Newborn neurons that never learn, named as those that did."""

    def wake(self, task: Labelled, on_step: OnStep | None = None) -> None:
        """Only name neurons."""
        self.name(task)


def _with_bias(images: Tensor) -> Tensor:
    """Grey values from 0 to 1 and a column of ones."""
    return torch.cat([images.float() / 255, torch.ones(len(images), 1)], 1)
