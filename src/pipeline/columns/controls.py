"""What sleep has to be compared with: each control answers the same test images.

    @register_control("joint", full=True)
    def joint(night: Night) -> Right: ...

Those that train draw from the same examples, take the same numbers of steps, and differ in one thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.columns.augmentation import shifted_together
from pipeline.columns.brain import Brain, newborn
from pipeline.columns.day import Moment, live, moments_of
from pipeline.columns.gated_adam import GatedAdam, cosine
from pipeline.columns.losses import answered
from pipeline.columns.measures import wrong
from pipeline.columns.schedules import EvenReplay
from pipeline.columns.sleep import consolidate, parents_of
from pipeline.columns.tasks import Examples, TaskData
from pipeline.columns.wake import learn
from pipeline.config import ColumnsConfig
from pipeline.config.columns import DynamicReplayConfig

Right = dict[str, Tensor]
"""By task, which test images are answered rightly, shape (N,) bool."""


@dataclass(frozen=True)
class Night:
    """What controls start from.

    Attributes:
        config: The run's configuration.
        data: Examples of every task.
        replayed: What sleep replayed, by task.
        after: The network after each moment of the day, by its name.
        slept: The network after sleep.
    """

    config: ColumnsConfig
    data: Mapping[str, TaskData]
    replayed: Mapping[str, Examples]
    after: Mapping[str, Brain]
    slept: Brain

    @property
    def tasks(self) -> list[str]:
        """Names in the order of learning."""
        return [task.name for task in self.config.tasks]

    @property
    def moments(self) -> list[Moment]:
        """The parts of the day."""
        return moments_of(self.config)

    @property
    def parents(self) -> dict[str, str]:
        """As which each task is asked after sleep."""
        return parents_of(self.config.tasks)

    @property
    def asleep_as(self) -> Mapping[str, str]:
        """As which each task is asked in the evening: itself, but for those that naps consolidated."""
        return self.moments[-1].asked_as

    @property
    def evening(self) -> Brain:
        """The network as it fell asleep."""
        return self.after[self.moments[-1].name]

    @property
    def before_primes(self) -> Brain:
        """The network before the first task that is to be consolidated into another one."""
        brain = newborn(self.config)
        for moment in self.moments:
            if moment.task is None or self.parents[moment.task] != moment.task:
                break
            brain = self.after[moment.name]
        return brain

    def generator(self) -> np.random.Generator:
        """The same draws for every control, and those of sleep itself."""
        return np.random.default_rng([self.config.seed, 3])

    def right(self, brain: Brain, asked_as: Mapping[str, str] | None = None) -> Right:
        """Which test images are answered rightly, each task asked as its parent."""
        asked = asked_as or self.parents
        return {task: ~wrong(brain, self.data[task].test, asked[task]) for task in self.tasks}


Control = Callable[[Night], Right]


@dataclass(frozen=True)
class _Entry:
    run: Control
    full: bool


_CONTROLS: dict[str, _Entry] = {}


def register_control(name: str, full: bool = False) -> Callable[[Control], Control]:
    """Decorator: ``full`` controls run with ``evaluation.controls=full`` alone."""

    def register(control: Control) -> Control:
        if name in _CONTROLS:
            raise ValueError(f"control {name!r} is already registered")
        _CONTROLS[name] = _Entry(control, full)
        return control

    return register


def chosen_controls(which: str) -> Iterator[tuple[str, Control]]:
    """Names and functions for ``evaluation.controls``: none, default or full."""
    for name, entry in _CONTROLS.items():
        if which == "full" or (which == "default" and not entry.full):
            yield name, entry.run


def _slept(night: Night, brain: Brain, replayed: Mapping[str, Examples] | None = None, **changes: object) -> Brain:
    """A copy of ``brain`` after a sleep with some settings changed."""
    sleeper, config = brain.awake(), night.config.sleep.model_copy(update=changes)
    consolidate(sleeper, replayed or night.replayed, night.asleep_as, night.parents, config, night.generator())
    return sleeper


@register_control("direct_er")
def direct_er(night: Night) -> Right:
    """Primes are trained straight in their parents' columns, with the same samples and steps, and with labels."""
    brain = _slept(night, night.before_primes, label_weight=1.0, distillation_weight=0.0)
    return night.right(brain)


@register_control("relabel")
def relabel(night: Night) -> Right:
    """The same sleep with the true labels in the teacher's place."""
    return night.right(_slept(night, night.evening, label_weight=1.0, distillation_weight=0.0))


@register_control("override_without_sleep")
def override_without_sleep(night: Night) -> Right:
    """Primes are asked as their parents, and nobody slept."""
    return night.right(night.evening)


@register_control("block_order")
def block_order(night: Night) -> Right:
    """The same sleep, in every epoch one task's batches after the other's."""
    return night.right(_slept(night, night.evening, order="blocks", dynamic=DynamicReplayConfig()))


@register_control("task_by_task")
def task_by_task(night: Night) -> Right:
    """The same sleep, all epochs of one task before the next one."""
    return night.right(_slept(night, night.evening, order="sequence", dynamic=DynamicReplayConfig()))


@register_control("no_replay", full=True)
def no_replay(night: Night) -> Right:
    """The buffer holds nothing of the parents: only what was to be consolidated is replayed."""
    replayed = {task: own for task, own in night.replayed.items() if night.parents[task] != task}
    return night.right(_slept(night, night.evening, replayed))


@register_control("temperature_1", full=True)
def temperature_1(night: Night) -> Right:
    """The same sleep at temperature 1."""
    return night.right(_slept(night, night.evening, temperature=1.0))


@register_control("shared_column", full=True)
def shared_column(night: Night) -> Right:
    """No masks: every task is learned in the same single column, one after the other."""
    soft = night.config.masking.soft_columns.model_copy(update={"total_columns": 1, "base_columns": 1})
    alone = {"bank": "base", "column_index": None, "residual_from": None}
    tasks = tuple(task.model_copy(update=alone) for task in night.config.tasks)
    masking = night.config.masking.model_copy(update={"soft_columns": soft, "mode": "soft_columns"})
    sleep = night.config.sleep.model_copy(update={"after": ()})
    config = night.config.model_copy(update={"tasks": tasks, "masking": masking, "sleep": sleep})
    return night.right(_day(night, config), {task: task for task in night.tasks})


@register_control("separate_columns", full=True)
def separate_columns(night: Night) -> Right:
    """An upper bound: every task keeps a column of its own for ever, and a network of its own learns it."""
    right = {}
    tasks = tuple(task.model_copy(update={"residual_from": None}) for task in night.config.tasks)
    config = night.config.model_copy(update={"tasks": tasks})
    for number, task in enumerate(night.tasks):
        brain, own = newborn(config), night.data[task]
        draws = np.random.default_rng([night.config.seed, 1, number])
        learn(brain.network, brain.controller, task, [], own.train, night.config.training, draws)
        right[task] = ~wrong(brain, own.test, task)
    return right


@register_control("joint", full=True)
def joint(night: Night) -> Right:
    """An upper bound: all tasks are learned at once from all their images, in the parents' columns, with labels."""
    brain, training, draws = night.evening.awake(), night.config.training, night.generator()
    network, controller = brain.network, brain.controller
    network.load_state_dict(newborn(night.config).network.state_dict())
    optimiser = GatedAdam(network)
    long = night.config.sleep.model_copy(update={"epochs": training.epochs + night.config.sleep.epochs})
    schedule = EvenReplay({task: len(night.data[task].train) for task in night.tasks}, long, draws)
    for step, (task, rows) in enumerate(schedule):
        batch, parent = night.data[task].train.take(rows), night.parents[task]
        images, mask = shifted_together(batch.images, training.shift, draws), controller.mask(parent).detach()
        chosen = controller.bank(parent)
        logits, spikes = answered(network, images, controller.prompt(parent).detach(), mask, chosen)
        loss = binary_cross_entropy_with_logits(logits, batch.answers) + spikes
        loss.backward()  # type: ignore[no-untyped-call]
        rate = cosine(step, schedule.steps, training.learning_rate, training.learning_rate_end)
        optimiser.step(chosen, controller.gate(parent, mask), rate)
    return night.right(brain)


@register_control("not_spiking", full=True)
def not_spiking(night: Night) -> Right:
    """The whole day and night again, with rectified currents in place of spikes, whose activity costs nothing."""
    model = night.config.model.model_copy(update={"neuron": "relu", "lambda_rate": 0.0})
    brain = _day(night, night.config.model_copy(update={"model": model}))
    return night.right(_slept(night, brain))


def _day(night: Night, config: ColumnsConfig) -> Brain:
    """A new network that learns every task in turn, as ``wake_train`` does."""
    brain = newborn(config)
    for moment in moments_of(config):
        live(brain, moment, config, night.data)
    return brain


def _by_rates(night: Night, change: Callable[[Tensor], Tensor]) -> Right:
    """What is right after sleep when the firing rates (N, K, H) are changed before the readout."""
    right, brain = {}, night.slept
    for task in night.tasks:
        test, parent = night.data[task].test, night.parents[task]
        chosen, mask = brain.controller.bank(parent), brain.controller.mask(parent)
        with torch.no_grad():
            rates = brain.network.rates(test.images, brain.controller.prompt(parent), chosen)
            logits = brain.network.answer(change(rates), mask, chosen)[:, 0]
        right[task] = (logits > 0) == (test.answers > 0.5)
    return right


@register_control("silent_spikes", full=True)
def silent_spikes(night: Night) -> Right:
    """After sleep no neuron fires: what is left is the share of one class."""
    return _by_rates(night, torch.zeros_like)


@register_control("shuffled_spikes", full=True)
def shuffled_spikes(night: Night) -> Right:
    """After sleep every image is answered by the spikes of another one."""
    draws = torch.Generator().manual_seed(night.config.seed)
    return _by_rates(night, lambda rates: rates[torch.randperm(len(rates), generator=draws)])
