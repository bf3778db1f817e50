"""Settings of ``engram score``."""

from __future__ import annotations

from pydantic import Field

from pipeline.config.examination import EvaluationConfig
from pipeline.config.language import ModelConfig
from pipeline.config.section import Section


class ScoreConfig(Section):
    """How an entrant is scored; only the whole suite under the file's own settings compares with other entrants."""

    facts: int | None = Field(None, ge=1, description="first facts of the suite that are asked; null is all of them")
    model: ModelConfig = Field(ModelConfig(), description="the base that entrants build on and are compared with")
    evaluation: EvaluationConfig = Field(
        EvaluationConfig(controls="full"), description="how questions are asked; full asks all of them"
    )
