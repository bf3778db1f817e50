"""Settings of ``engram bench continual``: which streams, methods and seeds, and each method's grid."""

from __future__ import annotations

from itertools import product
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.config.section import Section


class LearnerConfig(Section):
    """One continual learner with its settings; each learner reads those that its method has."""

    learner: str = Field(description="naive, ewc, er, derpp or soft-columns")
    neuron: Literal["lif", "relu"] = Field("lif", description="relu is the twin without spikes")
    columns: int = Field(1, ge=1, description="into which the 200 neurons are divided")
    images: int = Field(0, ge=0, description="replay buffer; soft-columns keeps no more bytes than er with as many")
    batch_size: int = Field(10, ge=1, description="new images a step; it fixes the number of steps for all learners")
    learning_rate: float = Field(0.1, gt=0, description="of stochastic gradient descent")
    replay_batch_size: int = Field(64, ge=1, description="replayed images a draw")
    shift: int = Field(0, ge=0, description="replayed images are moved by up to so many pixels")
    alpha: float = Field(0.5, ge=0, description="weight of the squared distance to kept logits")
    beta: float = Field(1.0, ge=0, description="weight of kept labels")
    ewc_weight: float = Field(0.0, ge=0, description="stiffness of elastic weight consolidation")
    fisher_images: int = Field(500, ge=1, description="images of each task's Fisher matrix")
    wake_batch_size: int = Field(12, ge=1, description="soft-columns: new images a step; the steps saved are its sleep")
    gate: float = Field(0.3, ge=0, le=1, description="soft-columns: how far a day moves the other tasks' columns")


class MethodConfig(Section):
    """A row of the comparison."""

    fixed: LearnerConfig = Field(description="settings that are not searched")
    grid: dict[str, list[Any]] = Field(default_factory=dict, description="values of settings that are searched")
    chosen: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="by stream, the trial that validation images preferred"
    )

    @property
    def trials(self) -> list[dict[str, Any]]:
        """Every combination of the grid."""
        return [dict(zip(self.grid, values, strict=True)) for values in product(*self.grid.values())]

    def learner(self, settings: dict[str, Any]) -> LearnerConfig:
        """The learner with some settings changed.

        Raises:
            ValidationError: A setting does not exist or does not fit.
        """
        return LearnerConfig.model_validate(self.fixed.model_dump() | settings)


class ContinualConfig(Section):
    """The whole comparison."""

    streams: tuple[Literal["mnist-class", "mnist-domain", "fashion-mnist-class", "fashion-mnist-domain"], ...] = Field(
        ("mnist-class", "mnist-domain", "fashion-mnist-class", "fashion-mnist-domain"),
        min_length=1,
        description="Split-MNIST and Split-FashionMNIST, class- and domain-incremental",
    )
    methods: tuple[str, ...] | None = Field(None, description="rows to run; null is all")
    seeds: tuple[int, ...] = Field((1, 2, 3, 4, 5), min_length=1, description="of weights, replay and order of tasks")
    tune: bool = Field(False, description="run every method's grid on validation images, in place of the comparison")
    tuning_seeds: tuple[int, ...] = Field((100, 101), min_length=1, description="of the grid's trials")
    validation_images: int = Field(10_000, ge=1, description="last images of the training set: never learned from")
    processes: int | None = Field(None, ge=1, description="runs side by side, one thread each; null is one a core")
    rows: dict[str, MethodConfig] = Field(description="every method by its name in the table")
    published: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="accuracies of others by stream and method, see the file for their sources"
    )

    @model_validator(mode="after")
    def _is_fair(self) -> Self:
        if unknown := [name for name in self.methods or () if name not in self.rows]:
            raise ValueError(f"methods: {', '.join(unknown)} is none of {', '.join(self.rows)}")
        trials = {name: len(row.trials) for name, row in self.rows.items()}
        if len(set(trials.values())) > 1:
            raise ValueError(f"rows: every method has to have as many trials, found {trials}")
        for row in self.rows.values():
            for settings in (*row.trials, *row.chosen.values()):
                row.learner(settings)
        return self
