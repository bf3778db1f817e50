"""The stages of a run of sleep–wake memory."""

from __future__ import annotations

from pipeline.config import FlowConfig
from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.stages.registry import StageSpec


def text_digest(config: FlowConfig) -> dict[str, str]:
    """The digest of the base text."""
    from pipeline.artifacts import digest_file
    from pipeline.sleepwake.building import text_file

    assert isinstance(config, SleepWakeConfig)
    return {"text": digest_file(text_file(config))}


_LEARNED = ("seed", "device", "text", "model", "pretrain")
_LIVED = (*_LEARNED, "episodes", "surprise", "store")
_BEFORE = ("pretrain_byte_lm", "generate_episodes", "wake", "sleep", "later_cycles")

STAGES: tuple[StageSpec, ...] = (
    StageSpec("pretrain_byte_lm", (), (*_LEARNED, "patches"), outside=text_digest),
    StageSpec("generate_episodes", (), ("seed", "text", "episodes"), outside=text_digest),
    StageSpec("wake", _BEFORE[:2], (*_LIVED, "sleep", "session", "fresh")),
    StageSpec("sleep", _BEFORE[:3], (*_LIVED, "sleep", "schedule")),
    StageSpec("later_cycles", _BEFORE[:4], (*_LIVED, "sleep", "schedule")),
    StageSpec("evaluate", _BEFORE, (*_LIVED, "sleep", "schedule", "patches", "svf", "evaluation")),
    StageSpec("promote", (*_BEFORE, "evaluate"), ("guards", "tracking")),
    StageSpec("report", (*_BEFORE, "evaluate", "promote"), ("seed", "guards", "tracking")),
)
"""Every stage in order. Facts under test keys are asked by ``evaluate`` alone."""
