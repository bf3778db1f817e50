"""The tasks of a run: five pairs of classes, the same ten with pixels in another order each time, or one of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from pipeline.config.liquid import StreamConfig
from pipeline.continual.stream import Labelled, Load, Stream, split_stream
from pipeline.errors import DataError
from pipeline.images import ImageSet


def stream_of(config: StreamConfig, seed: int, load: Load, judged_by: str = "test") -> Stream:
    """The stream that a configuration describes.

    Args:
        config: Section ``stream``.
        seed: Orders tasks, images and pixels.
        load: Reads an image set, see `pipeline.images.load_images`.
        judged_by: ``test``, or ``validation``: the last images of the training set.

    Raises:
        DataError: No image is left to learn from.
    """

    def checked(name: str, part: Literal["train", "test"]) -> ImageSet:
        found = load(name, part)
        if part == "train" and len(found.labels) <= config.validation_images:
            raise DataError(
                f"{name} has {len(found.labels)} training images here, of which stream.validation_images="
                f"{config.validation_images} leave none to learn from; set a smaller number"
            )
        return found

    if config.scenario == "permuted" or config.scenario == "joint":
        found = _whole_stream(config, seed, checked, judged_by)
    else:
        found = split_stream(
            config.dataset,
            config.scenario,
            seed,
            checked,
            validation_images=config.validation_images,
            judged_by=judged_by,
        )
    return Stream(found.outputs, found.answers, _first(found.train, config.train_images), found.judged)


def fewer(stream: Stream, judged: int | None) -> Stream:
    """The same stream, judged by no more than the first images of every task; None is all."""
    return Stream(stream.outputs, stream.answers, stream.train, _first(stream.judged, judged))


def _first(tasks: Sequence[Labelled], count: int | None) -> tuple[Labelled, ...]:
    return tuple(Labelled(task.images[:count], task.labels[:count]) for task in tasks)


def _whole_stream(config: StreamConfig, seed: int, load: Load, judged_by: str) -> Stream:
    """All ten classes in every task; the first task's pixels stay where they are.

    With more tasks than one this is permuted MNIST (Goodfellow et al. 2013, arXiv:1312.6211).
    """
    generator = np.random.default_rng(seed)
    train = load(config.dataset, "train")
    first = len(train.labels) - config.validation_images
    learned, labels = torch.tensor(train.images[:first]), torch.from_numpy(train.labels[:first].astype(np.int64))
    if judged_by == "validation":
        judged = Labelled(torch.tensor(train.images[first:]), torch.from_numpy(train.labels[first:].astype(np.int64)))
    else:
        test = load(config.dataset, "test")
        judged = Labelled(torch.tensor(test.images), torch.from_numpy(test.labels.astype(np.int64)))
    trained, asked = [], []
    for number in range(config.tasks):
        pixels = torch.from_numpy(generator.permutation(learned.shape[1])) if number else torch.arange(learned.shape[1])
        order = torch.from_numpy(generator.permutation(first))[: config.train_images]
        trained.append(Labelled(learned[order][:, pixels], labels[order]))
        asked.append(Labelled(judged.images[:, pixels], judged.labels))
    answers = tuple(range(10))
    return Stream(10, (answers,) * config.tasks, tuple(trained), tuple(asked))
