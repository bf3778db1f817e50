"""What learns tasks one after another: what a day asks of it, and what the stages of the flow ask of it besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
from torch import Tensor

from pipeline.continual.stream import Labelled
from pipeline.plasticity.buffer import TaskBuffer

OnStep = Callable[[float], None]
"""Told the figure of every step that `KeptLearner.step_figure` names."""


class ReceptiveFields(NamedTuple):
    """What neurons see: weights of the pixels (N, 784), and the class that each neuron stands for (N,)."""

    weights: Tensor
    classes: Tensor


class Learner(Protocol):
    """What lives through a day: rivals need no more than this.

    Attributes:
        steps: Steps taken so far.
    """

    steps: int

    def logits(self, images: Tensor) -> Tensor:
        """Answers: images uint8 (N, 784), logits (N, K). Asking changes nothing."""
        ...

    def wake(self, task: Labelled, on_step: OnStep | None = None) -> None:
        """Learn a task's images."""
        ...

    def sleep(self, on_step: OnStep | None = None) -> None:
        """Consolidate what is kept; what keeps nothing does nothing."""
        ...


class KeptLearner(Learner, Protocol):
    """A learner that stages hand on by files.

    Attributes:
        buffer: Images that are kept for sleep, maybe none.
        step_figure: What every step tells, as the column and the metric are called.
        notes: What a reader of its report has to know.
    """

    buffer: TaskBuffer
    step_figure: str
    notes: tuple[str, ...]

    def wake_steps(self, task: Labelled) -> int:
        """How many steps a task takes."""
        ...

    def sleep_steps(self) -> int:
        """How many steps the next sleep takes."""
        ...

    def save(self, path: Path) -> Path:
        """Write everything, atomically: the next task goes on from the file as from memory."""
        ...

    def load(self, path: Path) -> None:
        """Take up what `save` wrote."""
        ...

    def kept(self) -> Mapping[str, pa.Table]:
        """What the store keeps, by the names of `pipeline.plasticity.kept.SCHEMAS`; ``buffer`` always."""
        ...

    def activity(self, images: Tensor) -> dict[str, Any]:
        """``spike_rate`` and other figures of the report that follow from what neurons do at these images."""
        ...

    def receptive_fields(self) -> ReceptiveFields | None:
        """What neurons see; None where they see no pixels themselves."""
        ...

    def about(self) -> str:
        """What it is, in a few words."""
        ...
