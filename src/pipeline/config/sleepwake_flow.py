"""Settings of the flow ``sleepwake``: a byte model that reads by day, with a memory, and learns from it by night."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pipeline.config.schema import FlowConfig, register_flow
from pipeline.config.section import FilePath, Name, Section
from pipeline.config.sleepwake import PatchConfig, PretrainConfig, SleepWakeModelConfig, SvfConfig
from pipeline.config.sleepwake_keys import translated
from pipeline.config.sleepwake_night import EpisodesConfig, SleepConfig, SurprisesConfig, SurpriseStoreConfig
from pipeline.config.sleepwake_parts import PartsConfig


class TextConfig(Section):
    """The text that the model learns before its first day, and must not forget."""

    path: FilePath | None = Field(None, description="any file; null is Shakespeare's plays of the data set text")


class SleepWakeEvaluationConfig(Section):
    """What is measured beside the model itself."""

    controls: Literal["none", "matched", "default", "full"] = Field(
        "full",
        description="matched: as many steps without memories; default: also all sleeps with memories alone, without "
        "rehearsal; full: also a model of the window alone, trained as long; none",
    )
    recall_streams: int = Field(32, ge=1, description="streams in which facts are told early and asked late")
    passkey: tuple[Annotated[int, Field(ge=64)], ...] = Field(
        (), description="bytes of other streams, which tell one fact at their beginning and ask it at their end"
    )
    arithmetic: int = Field(100, ge=0, description="held-out problems of every level, at most")
    gap_session: int = Field(512, ge=16, description="bytes of text of a session between telling and asking")
    resamples: int = Field(2000, ge=100, description="of every bootstrapped interval")


class SleepWakeGuardsConfig(Section):
    """What a run must reach on validation keys and text before its model becomes champion; null asks nothing."""

    nats_max: float | None = Field(2.0, gt=0, description="nats a byte of validation text, without the memory")
    memory_gain_min: float | None = Field(0.3, description="recall in streams with the memory minus without it")
    recall_min: float | None = Field(0.9, ge=0, le=1, description="facts answered from the weights after one sleep")
    retention_min: float | None = Field(0.8, ge=0, le=1, description="the same facts after every further cycle")
    drift_max: float | None = Field(0.01, description="rise of base nats by one sleep, as a share")


@register_flow("sleepwake")
class SleepWakeConfig(FlowConfig):
    """Learn bytes, live days, sleep after each, examine, judge."""

    flow: Name = Field("sleepwake", description="the flow's name, the first half of FLOW/DEPLOYMENT")
    deployment: Name = Field("tiny", description="the deployment's name, the second half")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto is cuda when a GPU is visible, else cpu")
    text: TextConfig = Field(TextConfig(), description="base text")
    model: SleepWakeModelConfig = Field(SleepWakeModelConfig(), description="sizes of the network")
    pretrain: PretrainConfig = Field(PretrainConfig(), description="before the first day")
    patches: PatchConfig = Field(PatchConfig(), description="where patches of bytes begin")
    svf: SvfConfig = Field(SvfConfig(), description="scaling of singular values")
    episodes: EpisodesConfig = Field(EpisodesConfig(), description="what the days tell")
    surprise: SurprisesConfig = Field(SurprisesConfig(), description="which surprises become memories")
    store: SurpriseStoreConfig = Field(SurpriseStoreConfig(), description="the episodic store")
    sleep: SleepConfig = Field(SleepConfig(), description="how the weights learn from it")
    schedule: dict[int, dict[str, Any]] = Field(
        {}, description="settings of sleep that hold from a cycle on, {2: {cue_rows: 96}}: components one by one"
    )
    parts: PartsConfig = Field(PartsConfig(), description="components that are measured beside the model")
    evaluation: SleepWakeEvaluationConfig = Field(SleepWakeEvaluationConfig(), description="controls")
    guards: SleepWakeGuardsConfig = Field(SleepWakeGuardsConfig(), description="what a run must reach")

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Check settings, of which keys of the document set what means the same here.

        Raises:
            ConfigError: A key of the document sets nothing here.
            ValidationError: A setting is unknown, or of the wrong type.
        """
        return super().model_validate_json(json.dumps(translated(json.loads(json_data))), **options)

    @model_validator(mode="after")
    def _some_day_ends_in_a_sleep(self) -> Self:
        if self.sleep.first_cycle >= self.episodes.cycles:
            raise ValueError(
                f"sleep.first_cycle={self.sleep.first_cycle}: expected less than episodes.cycles={self.episodes.cycles}"
            )
        return self

    @model_validator(mode="after")
    def _schedule_can_be_kept(self) -> Self:
        for start, settings in self.schedule.items():
            if not 0 <= start < self.episodes.cycles:
                raise ValueError(f"schedule: {start} is none of episodes.cycles={self.episodes.cycles}, 0 is the first")
            if "first_cycle" in settings:
                raise ValueError("schedule: sleep.first_cycle says when sleeps begin, and cannot change")
            try:
                self.sleep_of(start)
            except ValidationError as error:
                first = error.errors()[0]
                raise ValueError(f"schedule.{start}.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        return self

    def sleep_of(self, cycle: int) -> SleepConfig:
        """Settings of the sleep that ends a cycle: those of ``sleep``, changed by all of the schedule up to it."""
        changed = self.sleep.model_dump(mode="json")
        for start in sorted(self.schedule):
            changed |= self.schedule[start] if start <= cycle else {}
        if cycle == self.sleep.first_cycle:
            changed["steps"] = round(changed["steps"] * changed["first_factor"])
        return SleepConfig.model_validate_json(json.dumps(changed))

    @property
    def later_cycles(self) -> range:
        """Days behind the first sleep."""
        return range(self.sleep.first_cycle + 1, self.episodes.cycles)
