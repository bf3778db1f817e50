"""Settings of the flow ``needle``: recall of values that stand in noise, by a memory of the sequence itself."""

from __future__ import annotations

import json
from itertools import product
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pipeline.config.emma import (
    EmmaConfig,
    HolographicConfig,
    NeedleLossConfig,
    NeedleModelConfig,
    NeedleTrainConfig,
    ReadConfig,
)
from pipeline.config.nce import AlarmConfig, NceConfig
from pipeline.config.needle_task import DataConfig
from pipeline.config.schema import FlowConfig, register_flow
from pipeline.config.section import Name, Section


class NeedleEvaluationConfig(Section):
    """What is measured beside the model itself."""

    controls: Literal["none", "default", "full"] = Field(
        "full",
        description="default: what costs no training (labels shuffled, reads zero or of other sequences, untrained, "
        "one sequence at a time); full: also a GRU, attention and the model without InfoNCE, trained as long; none",
    )
    peer_steps: int | None = Field(
        None,
        ge=1,
        description="steps of a GRU and attention; null is the model's, whose steps are far quicker on a CPU",
    )
    peer_lr: float | None = Field(
        None, gt=0, description="peak learning rate of a GRU and attention; null is the model's"
    )
    invariance: int = Field(64, ge=2, description="test sequences that are also answered one at a time")
    capacity_pairs: tuple[int, ...] = Field(
        (1, 2, 4, 8, 16, 32, 64), min_length=1, description="pairs in one bucket at which the memory alone is measured"
    )
    capacity_trials: int = Field(200, ge=1, description="random memories at each of them")


class NeedleLoggingConfig(Section):
    """What of a training is kept besides figures of every step and epoch."""

    samples: int = Field(100, ge=0, description="validation sequences whose reads and writes are kept every epoch")


class NeedleGuardsConfig(Section):
    """What a run must reach on validation sequences before its model becomes champion; null asks nothing."""

    accuracy_min: float | None = Field(0.95, ge=0, le=1, description="share of right answers")
    write_cosine_min: float | None = Field(0.75, ge=-1, le=1, description="mean cosine of written and true values")
    read_cosine_min: float | None = Field(0.90, ge=-1, le=1, description="mean cosine of cleaned reads and true values")
    collisions_max: float | None = Field(0.30, ge=0, le=1, description="share of writes to a bucket in use")
    open_fraction_min: float | None = Field(0.20, ge=0, le=1, description="share of epochs with an open gate")
    open_fraction_max: float | None = Field(0.40, ge=0, le=1, description="share of epochs with an open gate")
    lambda_max: float | None = Field(0.02, ge=0, description="largest λ")
    significant_drops_max: int | None = Field(
        0, ge=0, description="epochs behind the opening whose accuracy fell, by the paired test on 2,000 sequences"
    )


class NeedleProfileConfig(Section):
    """One set of settings."""

    settings: dict[str, Any] = Field({}, description="value by dotted key, as of --set")
    grid: bool = Field(True, description="whether it is combined with the grid")


class NeedleSweepConfig(Section):
    """Other settings that are trained beside the model, each over several seeds; no profile is no sweep."""

    profiles: dict[Name, NeedleProfileConfig] = Field({}, description="by name")
    grid: dict[str, list[Any]] = Field({}, description="values by dotted key; every combination is trained")
    seeds: tuple[int, ...] = Field((1337, 1338, 1339), min_length=1, description="one training each")


@register_flow("needle")
class NeedleConfig(FlowConfig):
    """Make splits, train with the gate, examine, compare, judge."""

    flow: Name = Field("needle", description="the flow's name, the first half of FLOW/DEPLOYMENT")
    deployment: Name = Field("len256", description="the deployment's name, the second half")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto is cuda when a GPU is visible, else cpu")
    data: DataConfig = Field(DataConfig(), description="the task and its splits")
    model: NeedleModelConfig = Field(NeedleModelConfig(), description="sizes of the network")
    emma: EmmaConfig = Field(EmmaConfig(), description="core and writes")
    memory: HolographicConfig = Field(HolographicConfig(), description="the memory of one sequence")
    read: ReadConfig = Field(ReadConfig(), description="from what was read to answers")
    loss: NeedleLossConfig = Field(NeedleLossConfig(), description="weights of the losses")
    train: NeedleTrainConfig = Field(NeedleTrainConfig(), description="the optimiser")
    nce: NceConfig = Field(NceConfig(), description="the gate of the contrastive loss")
    alarms: AlarmConfig = Field(AlarmConfig(), description="what stops a training that goes wrong")
    logging: NeedleLoggingConfig = Field(NeedleLoggingConfig(), description="what of a training is kept")
    evaluation: NeedleEvaluationConfig = Field(NeedleEvaluationConfig(), description="controls")
    sweep: NeedleSweepConfig = Field(NeedleSweepConfig(), description="other settings beside the model's")
    guards: NeedleGuardsConfig = Field(NeedleGuardsConfig(), description="what a run must reach")

    def changed(self, settings: dict[str, Any]) -> Self:
        """The same configuration with other values by dotted key, checked as any is.

        Raises:
            ValueError: A key is unknown, or values do not fit together.
        """
        values = self.model_dump(mode="json") | {"sweep": {}}
        for key, value in settings.items():
            *sections, name = key.split(".")
            target: Any = values
            for section in sections:
                if not isinstance(target, dict) or section not in target:
                    raise ValueError(f"{key}: no such setting")
                target = target[section]
            if not isinstance(target, dict) or name not in target:
                raise ValueError(f"{key}: no such setting")
            target[name] = value
        return type(self).model_validate_json(json.dumps(values))

    def sweep_settings(self) -> list[tuple[str, dict[str, Any]]]:
        """Every variant of the sweep: its name, and value by dotted key."""
        found, keys = list[tuple[str, dict[str, Any]]](), list(self.sweep.grid)
        for name, profile in self.sweep.profiles.items():
            for values in product(*self.sweep.grid.values()) if profile.grid else [()]:
                combined = dict(zip(keys, values, strict=False))
                told = [f"{key.rsplit('.', 1)[-1]}={value}" for key, value in combined.items()]
                found.append((" ".join([name, *([", ".join(told)] if told else [])]), profile.settings | combined))
        return found

    @model_validator(mode="after")
    def _writes_fit_the_task(self) -> Self:
        if self.data.task != "needle" and self.emma.writes == "marked":
            raise ValueError(f"data.task={self.data.task} holds no marks of writes: set emma.writes=learned")
        return self

    @model_validator(mode="after")
    def _sweep_can_be_run(self) -> Self:
        if self.sweep.grid and not self.sweep.profiles:
            raise ValueError("sweep.grid is combined with profiles: name at least one in sweep.profiles")
        if empty := [key for key, values in self.sweep.grid.items() if not values]:
            raise ValueError(f"sweep.grid: expected at least one value of {', '.join(empty)}")
        for name, settings in self.sweep_settings():
            try:
                self.changed(settings)
            except ValidationError as error:
                first = error.errors()[0]
                raise ValueError(f"sweep, {name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
            except ValueError as error:
                raise ValueError(f"sweep, {name}: {error}") from None
        return self
