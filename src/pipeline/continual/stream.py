"""Split-MNIST and Split-FashionMNIST as streams: five tasks of two classes, each seen once.

Class-incremental: one of ten classes is asked. Domain-incremental: whether it is its task's second class. In neither
is the task told (van de Ven and Tolias 2019, arXiv:1904.07734). The seed orders the tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.images import ImageSet

Scenario = Literal["class", "domain"]
Load = Callable[[str, Literal["train", "test"]], ImageSet]

PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))


@dataclass(frozen=True)
class Labelled:
    """Images with what is asked about them.

    Attributes:
        images: Grey values, uint8, shape (N, 784).
        labels: What is to be answered, int64, shape (N,).
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Stream:
    """Tasks in the order in which they are seen.

    Attributes:
        outputs: How many different answers there are, in all tasks together.
        answers: Of each task, the labels that occur in it.
        train: What each task is learned from, in the order in which it is seen.
        judged: What each task is judged by.
    """

    outputs: int
    answers: tuple[tuple[int, ...], ...]
    train: tuple[Labelled, ...]
    judged: tuple[Labelled, ...]


def split_stream(
    name: str, scenario: Scenario, seed: int, load: Load, *, validation_images: int, judged_by: str = "test"
) -> Stream:
    """One order of the five tasks and of their images.

    Args:
        name: ``mnist`` or ``fashion-mnist``.
        scenario: Class- or domain-incremental.
        seed: Orders tasks and images.
        load: Reads an image set, see `pipeline.images.load_images`.
        validation_images: Last images of the training set: never learned from.
        judged_by: ``test``, or ``validation`` for choosing settings.
    """
    generator = np.random.default_rng(seed)
    train = load(name, "train")
    first = len(train.labels) - validation_images
    learned = train.images[:first], train.labels[:first]
    if judged_by == "validation":
        judge = train.images[first:], train.labels[first:]
    else:
        test = load(name, "test")
        judge = test.images, test.labels
    tasks = [PAIRS[at] for at in generator.permutation(len(PAIRS))]
    return Stream(
        outputs=10 if scenario == "class" else 2,
        answers=tuple(pair if scenario == "class" else (0, 1) for pair in tasks),
        train=tuple(_of(pair, scenario, *learned, generator) for pair in tasks),
        judged=tuple(_of(pair, scenario, *judge, None) for pair in tasks),
    )


def _of(
    pair: tuple[int, int],
    scenario: Scenario,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    generator: np.random.Generator | None,
) -> Labelled:
    rows = np.flatnonzero(np.isin(labels, pair))
    if generator is not None:
        generator.shuffle(rows)
    asked = labels[rows].astype(np.int64)
    answers = asked if scenario == "class" else (asked == pair[1]).astype(np.int64)
    return Labelled(torch.from_numpy(images[rows]), torch.from_numpy(answers))
