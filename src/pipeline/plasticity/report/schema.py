"""``report.json`` of the flow ``plasticity``, schema version 1: the contract that other programs read.

Accuracies are shares of right answers on test images; tasks are counted from 1 in the order in which they were learned.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.report.base import Part, RunReport

Share = Annotated[float, Field(ge=0, le=1)]

AFTER = "after_sleep"
"""The last moment; before it are ``after_1``, ``after_2``, …, each after that task's sleep but the last one."""


class Baseline(Part):
    """Another method on the same images; ``gain`` is ours minus it, paired over images, 95 %."""

    average_accuracy: Share
    forgetting: float
    steps: int
    gain: float
    interval: tuple[float, float]


class Ablation(Part):
    """Average accuracy with a part and without it; ``gain`` is the difference, paired over images, 95 %."""

    on: Share
    off: Share
    gain: float
    interval: tuple[float, float]


class BufferUse(Part):
    """What was kept: images, bytes with labels and logits, and images by task."""

    rows: int
    bytes: int
    by_task: dict[str, int]


class PlasticityReport(RunReport):
    """Tasks one after another: what is known at the end, what it cost, and whether it was promoted."""

    schema_version: Literal[1] = 1
    average_accuracy: Share
    forgetting: float
    backward_transfer: float | None = None  # of several tasks
    forward_transfer: float | None = None
    accuracy: dict[str, dict[str, Share]]  # by moment and task
    baselines: dict[str, Baseline]
    ablations: dict[str, Ablation]
    spike_rate: Share  # spikes a neuron and step of the blocks' encoders, or of neurons that compete
    active_neurons: int | None = None  # of those that compete: how many fire at any of 1,000 test images
    plasticity: dict[
        str, dict[str, float]
    ]  # multiples of the rule's constants that the controller ended with, by layer
    steps: int
    buffer: BufferUse

    @property
    def tasks(self) -> list[str]:
        """The tasks in their order."""
        return list(self.accuracy[AFTER])

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if list(self.accuracy)[-1] != AFTER:
            raise ValueError(f"accuracy: expected {AFTER} as the last moment, found {', '.join(self.accuracy)}")
        for moment, found in self.accuracy.items():
            if list(found) != self.tasks:
                raise ValueError(f"accuracy.{moment}: expected the tasks {', '.join(self.tasks)}")
        return self


MEASURED = tuple(
    name for name in PlasticityReport.model_fields if name not in {*RunReport.model_fields, "schema_version"}
)
"""Figures of stage ``evaluate``, and ``buffer``."""
