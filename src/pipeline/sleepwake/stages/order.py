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
_ASKED = ("pretrain_codebook", *_BEFORE)

STAGES: tuple[StageSpec, ...] = (
    StageSpec("pretrain_byte_lm", (), (*_LEARNED, "patches"), outside=text_digest),
    StageSpec("pretrain_codebook", (), ("seed", "device", "parts")),
    StageSpec("generate_episodes", (), ("seed", "text", "episodes"), outside=text_digest),
    StageSpec("wake", _BEFORE[:2], (*_LIVED, "sleep", "session", "fresh")),
    StageSpec("sleep", _BEFORE[:3], (*_LIVED, "sleep", "schedule")),
    StageSpec("later_cycles", _BEFORE[:4], (*_LIVED, "sleep", "schedule")),
    StageSpec("evaluate", _ASKED, (*_LIVED, "sleep", "schedule", "patches", "svf", "parts", "evaluation")),
    StageSpec("promote", (*_ASKED, "evaluate"), ("guards", "tracking")),
    StageSpec("report", (*_ASKED, "evaluate", "promote"), ("seed", "guards", "tracking")),
)
"""Every stage in order. Facts under test keys are asked by ``evaluate`` alone."""
