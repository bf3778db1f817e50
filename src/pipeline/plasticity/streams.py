"""The tasks of a run: five pairs of classes, or the same ten digits with pixels in another order each time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from pipeline.config.liquid import StreamConfig
from pipeline.continual.stream import Labelled, Load, Stream, split_stream


def stream_of(config: StreamConfig, seed: int, load: Load, judged_by: str = "test") -> Stream:
    """The stream that a configuration describes.

    Args:
        config: Section ``stream``.
        seed: Orders tasks, images and pixels.
        load: Reads an image set, see `pipeline.images.load_images`.
        judged_by: ``test``, or ``validation``: the last images of the training set.
    """
    if config.scenario != "permuted":
        found = split_stream(
            config.dataset,
            config.scenario,
            seed,
            load,
            validation_images=config.validation_images,
            judged_by=judged_by,
        )
    else:
        found = _permuted_stream(config, seed, load, judged_by)
    return Stream(found.outputs, found.answers, _first(found.train, config.train_images), found.judged)


def fewer(stream: Stream, judged: int | None) -> Stream:
    """The same stream, judged by no more than the first images of every task; None is all."""
    return Stream(stream.outputs, stream.answers, stream.train, _first(stream.judged, judged))


def _first(tasks: Sequence[Labelled], count: int | None) -> tuple[Labelled, ...]:
    return tuple(Labelled(task.images[:count], task.labels[:count]) for task in tasks)


def _permuted_stream(config: StreamConfig, seed: int, load: Load, judged_by: str) -> Stream:
    """Permuted MNIST (Goodfellow et al. 2013, arXiv:1312.6211): the first task's pixels stay where they are."""
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
