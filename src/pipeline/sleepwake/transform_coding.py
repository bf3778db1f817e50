"""Principal components at a given number of bits an image: what a codebook is compared with.

coder = fit_transform_coder(training, bits=392)
shown = coder.pictures(images)

Every component has a scalar quantiser that is optimal for the training images (Lloyd 1982,
doi:10.1109/TIT.1982.1056489), and bits go one by one to the component whose error falls most, as in transform coding
(Huang & Schultheiss 1963, doi:10.1109/TCOM.1963.1088759). Mean, components and levels cost nothing, as a decoder does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_MOST_BITS = 8  # of one component
_ROUNDS = 20
_EXAMINED = 10_000  # images by which levels are fitted


@dataclass(frozen=True)
class TransformCoder:
    """A fitted coder.

    Attributes:
        mean: Of the training images, (P,).
        components: Orthonormal, by falling variance, (C, P).
        levels: Values that each component may take, ascending, one (2^b,) for each.
    """

    mean: Tensor
    components: Tensor
    levels: list[Tensor]

    @property
    def bits(self) -> int:
        """Of one image."""
        return sum(len(levels).bit_length() - 1 for levels in self.levels)

    def pictures(self, images: Tensor) -> Tensor:
        """Images (N, 28, 28) within 0..1 as they are read back, for images (N, 28, 28)."""
        scores = (images.flatten(1) - self.mean) @ self.components.T
        read = torch.zeros_like(scores)
        for place, levels in enumerate(self.levels):
            read[:, place] = nearest(scores[:, place], levels)
        return (read @ self.components + self.mean).clamp(0, 1).view_as(images)


def nearest(values: Tensor, levels: Tensor) -> Tensor:
    """Values (N,) as the nearest of ascending levels (L,)."""
    return levels[torch.bucketize(values.contiguous(), (levels[1:] + levels[:-1]) / 2)]


def fit_levels(values: Tensor, bits: int) -> Tensor:
    """The 2^bits levels (L,), ascending, that Lloyd's rounds reach from quantiles of values (N,)."""
    count = 2**bits
    levels = values.quantile((torch.arange(count, dtype=values.dtype) + 0.5) / count)
    for _ in range(_ROUNDS):
        place = torch.bucketize(values, (levels[1:] + levels[:-1]) / 2)
        sums = torch.zeros(count, dtype=values.dtype).index_add_(0, place, values)
        used = torch.bincount(place, minlength=count)
        levels = torch.where(used > 0, sums / used.clamp(min=1), levels)
    return levels


def fit_transform_coder(images: Tensor, bits: int) -> TransformCoder:
    """The coder of images (N, 28, 28), on the CPU, for so many bits an image."""
    mean, components, scores = _principal(images)
    fitted: list[list[Tensor]] = []
    gains: list[list[float]] = []
    spent = list[int]()
    for _ in range(bits):
        while not spent or spent[-1]:  # one component that has no bit yet is always on offer
            if len(spent) == len(components):
                break
            fitted.append([scores[:, len(spent)].mean()[None]])
            gains.append([])
            spent.append(0)
            _offer(scores[:, len(spent) - 1].contiguous(), fitted[-1], gains[-1])
        best = max(range(len(spent)), key=lambda i: gains[i][spent[i]] if spent[i] < _MOST_BITS else -1.0)
        spent[best] += 1
        if spent[best] < _MOST_BITS:
            _offer(scores[:, best].contiguous(), fitted[best], gains[best])
    levels = [fitted[i][spent[i]].to(images.dtype) for i in range(len(spent))]
    return TransformCoder(mean.to(images.dtype), components[: len(spent)].to(images.dtype), levels)


def fit_even_coder(images: Tensor, bits: int) -> TransformCoder:
    """The coder that gives its components the same bits each: of one to eight, what serves the training images best."""
    mean, components, scores = _principal(images)
    coders, errors = list[TransformCoder](), list[float]()
    for each in range(1, _MOST_BITS + 1):
        count = min(bits // each, len(components))
        levels = [fit_levels(scores[:, i].contiguous(), each).to(images.dtype) for i in range(count)]
        coders.append(TransformCoder(mean.to(images.dtype), components[:count].to(images.dtype), levels))
        errors.append(float((coders[-1].pictures(images[:_EXAMINED]) - images[:_EXAMINED]).square().mean()))
    return coders[errors.index(min(errors))]


def _principal(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (P,), components (P, P) by falling variance and scores (N, P) of the examined images, all in double."""
    flat = images.flatten(1).double()
    mean = flat.mean(0)
    centred = flat - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred / len(flat))
    components = vectors.T.flip(0)
    return mean, components, (centred[:_EXAMINED] @ components.T).contiguous()


def _offer(values: Tensor, fitted: list[Tensor], gains: list[float]) -> None:
    """Append the levels with one bit more, and by how much the squared error of values (N,) falls then."""
    fitted.append(fit_levels(values, len(fitted)))
    before, after = (float((nearest(values, levels) - values).square().mean()) for levels in fitted[-2:])
    gains.append(before - after)
