"""A day: tasks are learned one after the other, with naps in between where the configuration asks for them.

A nap consolidates as the night does, from the same buffer, and frees the columns of what it consolidated for new tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.columns.brain import Brain
from pipeline.columns.buffer import kept
from pipeline.columns.measures import IN_USE
from pipeline.columns.network import ColumnNetwork, parameters_by_column
from pipeline.columns.schedules import batches, schedule_of
from pipeline.columns.sleep import consolidate, primes_of
from pipeline.columns.tasks import Examples, TaskData
from pipeline.columns.wake import learn
from pipeline.config.columns import ColumnsConfig

OnStep = Callable[[str, float], None]
"""Told task and loss (nats) of every step."""


@dataclass(frozen=True)
class Moment:
    """A part of the day.

    Attributes:
        name: ``after_<task>``, or ``after_nap_<task>`` for the nap after a task.
        task: What is learned; None in a nap.
        taught_as: As which each task known before is asked when the moment begins.
        asked_as: As which each task known is asked when it is over.
    """

    name: str
    task: str | None
    taught_as: Mapping[str, str]
    asked_as: Mapping[str, str]


def moments_of(config: ColumnsConfig) -> list[Moment]:
    """The parts of the day in order."""
    found: list[Moment] = []
    asked: dict[str, str] = {}
    for task in config.tasks:
        found.append(Moment(f"after_{task.name}", task.name, asked, asked | {task.name: task.name}))
        asked = dict(found[-1].asked_as)
        if task.name in config.sleep.after:
            parents = {
                known.name: known.consolidate_into or known.name for known in config.tasks if known.name in asked
            }
            found.append(Moment(f"after_nap_{task.name}", None, asked, parents))
            asked = parents
    return found


def buffered(config: ColumnsConfig, data: Mapping[str, TaskData]) -> dict[str, Examples]:
    """What the replay buffer holds of every task: no more than the budget."""
    chosen = kept({task: len(own.train) for task, own in data.items()}, config.sleep.budget, config.seed)
    return {task: data[task].train.take(rows) for task, rows in chosen.items()}


def steps_of(moment: Moment, config: ColumnsConfig, data: Mapping[str, TaskData]) -> int:
    """How many steps a moment takes."""
    if moment.task is not None:
        return config.training.epochs * batches(len(data[moment.task].train), config.training.batch_size)
    chosen = kept({task: len(own.train) for task, own in data.items()}, config.sleep.budget, config.seed)
    sizes = {task: len(rows) for task, rows in chosen.items() if task in moment.asked_as}
    primes = primes_of(moment.taught_as, moment.asked_as)
    return schedule_of(sizes, primes, config.sleep, np.random.default_rng(0)).steps


def live(
    brain: Brain, moment: Moment, config: ColumnsConfig, data: Mapping[str, TaskData], on_step: OnStep | None = None
) -> None:
    """Learn the moment's task, or nap.

    Args:
        brain: As the moment before left it; changed in place.
        moment: One of `moments_of`.
        config: The run's configuration.
        data: Examples of every task.
        on_step: Told every step.
    """
    number = len(moment.taught_as)  # of tasks known
    if moment.task is not None:
        own = [task for task, asked in moment.taught_as.items() if task == asked]
        draws = np.random.default_rng([config.seed, 1, number])
        examples = data[moment.task].train
        learn(brain.network, brain.controller, moment.task, own, examples, config.training, draws, on_step)
        return
    replayed = {task: own for task, own in buffered(config, data).items() if task in moment.asked_as}
    draws = np.random.default_rng([config.seed, 4, number])
    consolidate(brain, replayed, moment.taught_as, moment.asked_as, config.sleep, draws, on_step)
    free_columns(brain, moment, seed=config.seed + 1000 * number)


def free_columns(brain: Brain, moment: Moment, seed: int) -> None:
    """Columns that only consolidated tasks used start afresh.

    Args:
        brain: Changed in place.
        moment: The nap.
        seed: Of the new weights.
    """
    network, controller = brain.network, brain.controller
    consolidated = primes_of(moment.taught_as, moment.asked_as)
    remaining = [task for task, asked in moment.asked_as.items() if task == asked]
    used, in_use = (
        {int(c) for task in tasks for c in (controller.whole_mask(task) >= IN_USE).nonzero()}
        for tasks in (consolidated, remaining)
    )
    fresh = ColumnNetwork(
        network.columns, network.prompted.shape[-1], network.config, seed, outputs=network.readout.shape[-1]
    )
    new = parameters_by_column(fresh)
    for name, parameter in parameters_by_column(network).items():
        for column in used - in_use:
            parameter.data[column] = new[name].data[column]
    for task in consolidated:
        controller.release(task)
