"""``report.json`` of the flow ``columns``, schema version 1: the contract that other programs read.

Accuracies are shares of right answers on test images. What is undefined is absent: a change without an earlier stage,
the errors that were kept where there were none. NaN is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.report.base import Part, RunReport, present

Share = Annotated[float, Field(ge=0, le=1)]

BEFORE, AFTER = "before_sleep", "after_sleep"
"""The last two stages; before them are ``after_<task>`` and ``after_nap_<task>`` in the order of the day."""


class Delta(Part):
    """Change of a task's accuracy against the stage before and against the best earlier stage."""

    previous: float | None = None
    best: float | None = None


class ErrorOverlap(Part):
    """How the network errs after sleep beside how it erred before.

    ``kept`` is the share of earlier errors that it still makes, ``jaccard`` errors of both over errors of either,
    ``agreement`` the share of images answered alike.
    """

    kept: Share | None = None
    jaccard: Share | None = None
    agreement: Share


class Spiking(Part):
    """Activity after sleep: spikes a neuron and step, and spikes, operations and energy (nJ, estimated) of an image."""

    rate: Share
    spikes: Annotated[float, Field(ge=0)]
    synaptic_operations: Annotated[float, Field(ge=0)]
    energy: Annotated[float, Field(ge=0)]


class Replay(Part):
    """What sleep replayed; a budget of None is every image that was learned from."""

    budget: int | None
    samples: int
    bytes: int


class Steps(Part):
    """Steps of the optimiser; naps count as sleep."""

    wake: int
    sleep: int


class ColumnsReport(RunReport):
    """A day and a night: what was measured, what it cost, and whether it was promoted."""

    schema_version: Literal[1] = 1
    accuracy: dict[str, dict[str, Share]]  # by stage and task
    asked_as: dict[str, str]  # the task whose prompt and mask each one is asked with after sleep
    masks: dict[str, dict[str, tuple[Share, ...]]]  # over all columns, as each task is asked
    deltas: dict[str, dict[str, Delta]]
    overlap: dict[str, ErrorOverlap]
    mask_entropy: dict[str, dict[str, float]]  # nats
    occupancy: dict[str, dict[str, tuple[Share, ...]]]  # by stage and bank: mean mask of the bank's tasks by column
    spike_rate: Share  # mean over tasks after sleep
    spiking: dict[str, Spiking]
    backward_transfer: float
    controls: dict[str, dict[str, Share]]  # by control and task
    control_gains: dict[str, float]  # mean accuracy after sleep minus the control's
    control_intervals: dict[str, tuple[float, float]]  # of the gains, 95 %, paired over images
    replay: Replay
    steps: Steps

    @property
    def tasks(self) -> list[str]:
        """Names of all tasks."""
        return list(self.accuracy[AFTER])

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        for problem in self._misfits():
            raise ValueError(problem)
        return self

    def _misfits(self) -> Iterator[str]:
        if list(self.accuracy)[-2:] != [BEFORE, AFTER]:
            yield f"accuracy: expected {BEFORE} and {AFTER} as the last stages, found {', '.join(self.accuracy)}"
            return
        by_stage: dict[str, Any] = {"masks": self.masks, "mask_entropy": self.mask_entropy, "occupancy": self.occupancy}
        for name, stages in by_stage.items():
            if missing := [stage for stage in (BEFORE, AFTER) if stage not in stages]:
                yield f"{name}: {' and '.join(missing)} missing"
                return
        by_task: dict[str, Any] = {f"accuracy.{BEFORE}": self.accuracy[BEFORE], "asked_as": self.asked_as}
        by_task |= {
            f"{name}.{stage}": by_stage[name][stage] for name in ("masks", "mask_entropy") for stage in (BEFORE, AFTER)
        }
        by_task |= {"overlap": self.overlap, "spiking": self.spiking}
        by_task |= {f"controls.{name}": scores for name, scores in self.controls.items()}
        for name, found in by_task.items():
            if found.keys() != set(self.tasks):
                yield f"{name}: expected the tasks {', '.join(self.tasks)}, found {', '.join(found) or 'none'}"
        if strangers := [task for task in self.asked_as.values() if task not in self.tasks]:
            yield f"asked_as: {', '.join(strangers)} is no task"
        if len({len(mask) for masks in self.masks.values() for mask in masks.values()}) != 1:
            yield "masks: expected the same number of columns in every mask"
        for name, found in (("control_gains", self.control_gains), ("control_intervals", self.control_intervals)):
            if found.keys() != self.controls.keys():
                yield f"{name}: expected {', '.join(self.controls)}, found {', '.join(found) or 'none'}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; what is undefined is left out (a guard keeps ``value: null``, replay ``budget: null``)."""
        plain = super().to_json()
        for deltas in plain["deltas"].values():
            deltas.update({task: present(delta) for task, delta in deltas.items()})
        plain["overlap"] = {task: present(found) for task, found in plain["overlap"].items()}
        return plain
