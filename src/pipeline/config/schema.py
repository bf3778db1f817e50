"""The configuration of a flow as one frozen model, and the registry that finds it by the flow's name.

A later system adds its own file with

    @register_flow("needle")
    class NeedleConfig(FlowConfig): ...
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from pipeline.config.examination import EvaluationConfig, GuardsConfig, TrackingConfig
from pipeline.config.language import DistilConfig, LoraConfig, ModelConfig
from pipeline.config.memory import EncoderConfig, GateConfig, NightsConfig, ReplayConfig, StoreConfig, SuiteConfig
from pipeline.config.mirror import MirrorConfig
from pipeline.config.section import FilePath, Name, Section
from pipeline.config.sharding import ShardingConfig
from pipeline.config.study import StudyConfig


def default_root() -> Path:
    """Where artifacts go when nothing else is said: ``ENGRAM_HOME``, else the current folder; absolute."""
    return _absolute(Path(os.environ.get("ENGRAM_HOME") or Path.cwd()))


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


class FlowConfig(Section):
    """What every flow has: its name and deployment, the one seed, placement and tracking."""

    flow: Name = Field(description="the flow's name, the first half of FLOW/DEPLOYMENT")
    deployment: Name = Field(description="the deployment's name, the second half")
    seed: int = Field(1337, ge=0, lt=2**32, description="the one seed; every random choice derives from it")
    session: Name | None = Field(None, description="wake session whose store a continuing deployment uses")
    placement: Literal["inline", "workers"] = Field(
        "inline", description="inline: one process; workers: GPU stages on the cuda pool"
    )
    fresh: bool = Field(True, description="start from the untouched base and an empty private store")
    root: Annotated[FilePath, AfterValidator(_absolute)] = Field(
        default_factory=default_root, description="artifact root; default ENGRAM_HOME, else the current folder"
    )
    tracking: TrackingConfig = Field(TrackingConfig(), description="MLflow")
    mirror: MirrorConfig = Field(MirrorConfig(), description="a URL that keeps finished runs and stores as well")

    @model_validator(mode="after")
    def _continuing_needs_a_session(self) -> Self:
        if not self.fresh and self.session is None:
            raise ValueError("fresh=false continues a named store: set session=NAME")
        return self


FLOWS: dict[str, type[FlowConfig]] = {}
"""Configuration model of each flow, by the flow's name."""

_Config = TypeVar("_Config", bound=type[FlowConfig])


def register_flow(name: str) -> Callable[[_Config], _Config]:
    """Class decorator: the model that ``load_config`` builds for ``name/DEPLOYMENT``."""

    def register(model: _Config) -> _Config:
        if name in FLOWS:
            raise ValueError(f"flow {name!r} is already registered as {FLOWS[name].__name__}")
        FLOWS[name] = model
        return model

    return register


@register_flow("consolidation")
class ConsolidationConfig(FlowConfig):
    """One night: teach, store, replay, distil, train, evaluate, promote, report."""

    flow: Name = Field("consolidation", description="the flow's name, the first half of FLOW/DEPLOYMENT")
    deployment: Name = Field("episodic", description="the deployment's name, the second half")
    model: ModelConfig = Field(ModelConfig(), description="the language model")
    suite: SuiteConfig = Field(SuiteConfig(), description="what is taught and asked")
    nights: NightsConfig | None = Field(None, description="many nights in one go; null is one night")
    encoder: EncoderConfig = Field(EncoderConfig(), description="the sentence encoder of store keys")
    gate: GateConfig = Field(GateConfig(), description="the write gate")
    store: StoreConfig = Field(StoreConfig(), description="the episodic store")
    replay: ReplayConfig = Field(ReplayConfig(), description="which experiences sleep replays")
    study: StudyConfig = Field(StudyConfig(), description="what is written about texts without questions")
    sharding: ShardingConfig = Field(ShardingConfig(), description="over how many processes answers are spread")
    distil: DistilConfig = Field(DistilConfig(), description="what sleep trains on")
    lora: LoraConfig = Field(LoraConfig(), description="the adapter and its optimiser")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="how arms are asked and scored")
    guards: GuardsConfig = Field(GuardsConfig(), description="what a night must reach to be promoted")

    @model_validator(mode="after")
    def _months_generate_and_continue(self) -> Self:
        if self.nights is None:
            return self
        if self.fresh:
            raise ValueError(
                "nights: many nights continue a store; set fresh=false and session=NAME, and for a start from the "
                "untouched base a new artifact root: root=FOLDER"
            )
        if self.suite.path is not None or self.suite.name == "facts":
            raise ValueError("nights: every night teaches facts of its own, so suite.name must be a generated suite")
        return self
