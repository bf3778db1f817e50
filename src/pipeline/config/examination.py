"""Settings of the examination: evaluation, promotion guards and tracking."""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qsl

from pydantic import Field, field_validator

from pipeline.config.section import Section


class EvaluationConfig(Section):
    """How every arm is asked and scored; the same before and after the night."""

    controls: Literal["default", "full"] = Field(
        "default", description="full scores every arm and every question; default a fixed, hashed subset"
    )
    max_new_tokens: int = Field(24, ge=1, description="token limit of an answer, in every arm")
    batch_size: int = Field(64, ge=1, description="prompts per generation batch")
    memory_contrast: float = Field(
        0.3,
        ge=0,
        description="weight of the prompt without its memory in context-aware decoding of memory-ON answers; 0 is off",
    )
    sanity_n: int = Field(
        150,
        ge=1,
        description="sanity questions scored with controls=default; all of the development half if it falls short",
    )
    drift_tokens: int = Field(3000, ge=1, description="tokens per drift domain with controls=default")
    secondary_n: int = Field(
        20, ge=1, description="items of each secondary arm with controls=default; of near_miss three times as many"
    )
    uses_n: int = Field(
        50, ge=0, description="facts verified, reversed, told and followed up with controls=default; 0 asks none"
    )
    tell_tokens: int = Field(48, ge=1, description="token limit of an answer to a request to tell all about a subject")
    context_tokens: int = Field(2048, ge=1, description="tokens of a long-context prompt at most, its answer included")
    retention_forms: int = Field(2, ge=1, description="test forms asked of every fact of an earlier night")
    score_slow: bool = Field(
        False, description="ask the slow average of a session's adapters (lora.slow_decay) too; continuing nights"
    )
    bootstrap: int = Field(2000, ge=1, description="resamples of a confidence interval, by fact then form")


class GuardsConfig(Section):
    """What a night must reach before its adapter becomes champion; read from probe questions and sanity-dev alone.

    ``configs/<flow>/guards.yaml`` is the one file in which a user changes them.
    """

    uplift_min: float = Field(0.20, description="smallest gain of probe EM over the best control (the plan's bar)")
    sanity_delta_min: float = Field(-0.02, description="smallest change of sanity accuracy")
    kl_max: float = Field(0.05, ge=0, description="largest KL(base || post) of a domain, nats per token")
    ppl_ratio_max: float = Field(1.02, gt=0, description="largest perplexity ratio post / base of a domain")
    ppl_ratio_later_max: float = Field(
        1.05, gt=0, description="the same of all nights together, where one goes on from a champion; continuing nights"
    )
    takeover_max: float = Field(0.02, ge=0, le=1, description="largest share of sanity answers with a taught name")
    post_on_margin: float = Field(0.0, ge=0, le=1, description="EM that post_on may lose against memory_on")
    refusal_max: float = Field(0.5, ge=0, le=1, description="largest share of refusals among probe answers")
    retrieval_min: int = Field(1, ge=0, description="fewest retrieval requests; 0 means that memory was never asked")
    kl_previous_max: float = Field(
        0.02, ge=0, description="largest KL(previous champion || post) of a domain, nats per token; continuing nights"
    )
    retention_min: float = Field(
        -0.05, description="smallest change of probe EM on facts of earlier nights; continuing nights"
    )
    forget_max: float = Field(
        0.05, ge=0, le=1, description="EM of forgotten answers above the base's at most; nights that forget"
    )
    replay_min: int = Field(1, ge=0, description="fewest replayed samples; 0 means that sleep trained on nothing")


class TrackingConfig(Section):
    """Where MLflow keeps a night's figures."""

    enabled: bool = Field(True, description="log the run to MLflow")
    uri: str | None = Field(None, description="tracking URI; null is SQLite in <root>/mlflow/mlflow.db")
    experiment: str = Field("engram", min_length=1, description="MLflow experiments are called EXPERIMENT/FLOW")
    system_seconds: float = Field(
        10.0, ge=0, description="seconds between samples of processor, memory, disk, network and GPU; 0 takes none"
    )

    @field_validator("uri")
    @classmethod
    def _without_password(cls, uri: str | None) -> str | None:
        """A configuration is kept, printed and logged; a password is not."""
        if uri is None or uri.startswith(("sqlite:", "file:")):
            return uri
        asked = {name.lower() for name, _ in parse_qsl(uri.partition("?")[2], keep_blank_values=True)}
        if "@" in uri or "user" in asked or any("pass" in name for name in asked):  # a password may hold a slash
            raise ValueError(
                "expected an address without name and password, as configurations are kept in files and reports; set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD for a server, PGUSER and PGPASSWORD for "
                "PostgreSQL, or Prefect's Secret block engram-mlflow (name:password) for either"
            )
        return uri
