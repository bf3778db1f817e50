"""In which order sleep replays: evenly for some epochs, or more of what is known worst.

A schedule yields (task, indices) batches and is told each batch's losses before the next one is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.config.columns import ColumnSleepConfig
from pipeline.replay.worst_first import moving_average, worst_first

Batch = tuple[str, NDArray[np.int64]]


class Schedule(Protocol):
    """The batches of a sleep."""

    @property
    def steps(self) -> int:
        """How many batches there will be."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """The batches in order."""
        ...

    def note(self, task: str, rows: NDArray[np.int64], losses: NDArray[np.float64]) -> None:
        """Learn the loss of every sample of the last batch."""
        ...


def batches(size: int, batch_size: int) -> int:
    """Number of batches that cover ``size`` samples."""
    return -(-size // batch_size)


def batches_of(
    rows: Mapping[str, NDArray[np.int64]],
    batch_size: int,
    order: Literal["interleaved", "blocks", "sequence"],
    generator: np.random.Generator,
) -> Iterator[Batch]:
    """The rows of every task once, in batches: mixed at random, or one task after the other.

    Args:
        rows: By task; each task's rows come in random order.
        batch_size: Rows a batch, at most.
        order: ``interleaved`` or not.
        generator: Orders rows, batches and tasks.
    """
    queues = {
        task: np.array_split(generator.permutation(own), batches(len(own), batch_size))
        for task, own in rows.items()
        if len(own)
    }
    names = [task for task in generator.permutation(list(queues)) for _ in queues[task]]
    if order == "interleaved":
        names = list(generator.permutation(names))
    for task in names:
        yield str(task), queues[str(task)].pop()


class EvenReplay:
    """Every sample once an epoch.

    Args:
        sizes: Samples by task.
        config: Section ``sleep``.
        generator: Orders the replay.
    """

    def __init__(self, sizes: Mapping[str, int], config: ColumnSleepConfig, generator: np.random.Generator) -> None:
        self._rows = {task: np.arange(size) for task, size in sizes.items()}
        self._config, self._generator = config, generator

    @property
    def steps(self) -> int:
        """See `Schedule`."""
        return self._config.epochs * sum(batches(len(rows), self._config.batch_size) for rows in self._rows.values())

    def __iter__(self) -> Iterator[Batch]:
        """See `Schedule`."""
        size, epochs = self._config.batch_size, range(self._config.epochs)
        if self._config.order == "sequence":
            for task in self._generator.permutation(list(self._rows)):
                for _ in epochs:
                    yield from batches_of({task: self._rows[task]}, size, "blocks", self._generator)
            return
        for _ in epochs:
            yield from batches_of(self._rows, size, self._config.order, self._generator)

    def note(self, task: str, rows: NDArray[np.int64], losses: NDArray[np.float64]) -> None:
        """Even replay does not look at losses."""


class DynamicReplay:
    """Primes first, then everything once, then each epoch the base tasks and what is known worst of every task.

    Args:
        sizes: Samples by task.
        primes: Tasks that are to be consolidated into others.
        config: Section ``sleep``; its part ``dynamic`` has the shares.
        generator: Orders and draws the replay.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        primes: frozenset[str],
        config: ColumnSleepConfig,
        generator: np.random.Generator,
    ) -> None:
        self._sizes = dict(sizes)
        self._primes, self._config, self._generator = primes, config, generator
        self._losses = {task: np.full(size, config.dynamic.initial_loss) for task, size in sizes.items()}

    def _counts(self) -> list[dict[str, int]]:
        """How many rows of each task every part of the night replays."""
        dynamic = self._config.dynamic
        primes = {task: size for task, size in self._sizes.items() if task in self._primes}
        parts = [
            {task: round(dynamic.prime_warmup_passes * size) for task, size in primes.items()},
            {task: round(dynamic.warmup_passes * size) for task, size in self._sizes.items()},
        ]
        for _ in range(self._config.epochs):
            parts.append({task: size for task, size in self._sizes.items() if task not in self._primes})
            parts.append({task: self._chosen(size) for task, size in self._sizes.items()})
        return parts

    def _chosen(self, size: int) -> int:
        dynamic = self._config.dynamic
        top = round(dynamic.top_percent * size)
        return top + min(round(dynamic.extra_percent * size), size - top)

    @property
    def steps(self) -> int:
        """See `Schedule`."""
        return sum(batches(count, self._config.batch_size) for part in self._counts() for count in part.values())

    def __iter__(self) -> Iterator[Batch]:
        """See `Schedule`."""
        warm_up = self._counts()[:2]
        for part in warm_up:
            yield from self._batches({task: self._passes(task, count) for task, count in part.items()})
        for _ in range(self._config.epochs):
            anchors = {task: np.arange(size) for task, size in self._sizes.items() if task not in self._primes}
            yield from self._batches(anchors)
            yield from self._batches({task: self._worst(task) for task in self._sizes})

    def _batches(self, rows: Mapping[str, NDArray[np.int64]]) -> Iterator[Batch]:
        return batches_of(rows, self._config.batch_size, self._config.order, self._generator)

    def _passes(self, task: str, count: int) -> NDArray[np.int64]:
        """Whole passes and a random part of one more, ``count`` rows in all."""
        size = self._sizes[task]
        whole = [np.arange(size)] * (count // size if size else 0)
        return np.concatenate([*whole, self._generator.permutation(size)[: count % size if size else 0]])

    def _worst(self, task: str) -> NDArray[np.int64]:
        dynamic = self._config.dynamic
        return worst_first(
            self._losses[task],
            dynamic.top_percent,
            dynamic.extra_percent,
            dynamic.min_probability,
            self._generator,
        )

    def note(self, task: str, rows: NDArray[np.int64], losses: NDArray[np.float64]) -> None:
        """See `Schedule`."""
        momentum = self._config.dynamic.momentum
        self._losses[task][rows] = moving_average(self._losses[task][rows], losses, momentum)


def schedule_of(
    sizes: Mapping[str, int], primes: frozenset[str], config: ColumnSleepConfig, generator: np.random.Generator
) -> Schedule:
    """The schedule that the configuration asks for.

    Args:
        sizes: Samples by task.
        primes: Tasks that are to be consolidated into others.
        config: Section ``sleep``.
        generator: Orders and draws the replay.
    """
    if not config.dynamic.enabled:
        return EvenReplay(sizes, config, generator)
    return DynamicReplay(sizes, primes, config, generator)
