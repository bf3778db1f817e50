"""Binary tasks: two classes of an image set, with training, validation and test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config.columns import DatasetConfig, TaskConfig
from pipeline.errors import DataError
from pipeline.images import ImageSet

Part = Literal["train", "validation", "test"]
Load = Callable[[str, Literal["train", "test"]], ImageSet]


@dataclass(frozen=True)
class Examples:
    """Images of one task.

    Attributes:
        images: Shape (N, 784), 0 to 1.
        answers: 1 for the second class, else 0, shape (N,).
        rows: Where each image stands in its data set, shape (N,).
    """

    images: Tensor
    answers: Tensor
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.answers)

    def take(self, chosen: Sequence[int] | NDArray[np.int64]) -> Examples:
        """The chosen examples, in that order."""
        index = np.asarray(chosen, dtype=np.int64)
        at = torch.from_numpy(index)
        return Examples(self.images[at], self.answers[at], self.rows[index])


@dataclass(frozen=True)
class TaskData:
    """One task's examples by part."""

    train: Examples
    validation: Examples
    test: Examples


def load_tasks(tasks: Sequence[TaskConfig], config: DatasetConfig, seed: int, load: Load) -> dict[str, TaskData]:
    """Examples of every task, drawn with the seed.

    The last ``validation_images`` of a training set validate; training images are drawn from those before them.

    Args:
        tasks: What to load.
        config: Section ``dataset``.
        seed: Of the draw.
        load: Reads an image set, see `pipeline.images.load_images`.

    Raises:
        DataError: A class has no images in one of the parts.
    """
    loaded = {}
    for number, task in enumerate(tasks):
        name = task.dataset_name or config.default_dataset
        train, test = load(name, "train"), load(name, "test")
        first = max(0, len(train.labels) - config.validation_images)
        pool = _pair(train, task, 0, first)
        drawn = np.random.default_rng([seed, number]).permutation(len(pool))[: config.max_train_samples]
        kept = max(1, round(len(drawn) * (1 - config.held_out_fraction)))
        loaded[task.name] = TaskData(
            train=pool.take(drawn[:kept]),
            validation=_pair(train, task, first, len(train.labels)),
            test=_pair(test, task, 0, len(test.labels)),
        )
    return loaded


def _pair(source: ImageSet, task: TaskConfig, start: int, stop: int) -> Examples:
    """The images of both classes among rows ``start`` to ``stop``, in file order."""
    labels = source.labels[start:stop]
    missing = [label for label in task.classes if not (labels == label).any()]
    if missing:
        raise DataError(
            f"{source.name} ({source.split}), rows {start} to {stop}: no image of class "
            f"{', '.join(map(str, missing))}, which task {task.name} asks for"
        )
    rows = start + np.flatnonzero(np.isin(labels, task.classes))
    images = torch.from_numpy(source.images[rows].astype(np.float32) / 255)
    answers = torch.from_numpy((source.labels[rows] == task.classes[1]).astype(np.float32))
    return Examples(images, answers, rows.astype(np.int64))
