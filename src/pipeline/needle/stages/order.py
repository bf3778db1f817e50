"""The stages of a run of the needle memory."""

from __future__ import annotations

from pipeline.stages.registry import StageSpec

_LEARNED = ("seed", "device", "data", "model", "emma", "memory", "read", "loss", "train", "nce", "alarms")

STAGES: tuple[StageSpec, ...] = (
    StageSpec("persist_store", (), ("seed", "session", "fresh", "data")),
    StageSpec("wake_train", ("persist_store",), (*_LEARNED, "logging")),
    StageSpec("evaluate", ("persist_store", "wake_train"), (*_LEARNED, "evaluation", "sweep")),
    StageSpec("promote", ("persist_store", "wake_train", "evaluate"), ("guards", "tracking")),
    StageSpec("report", ("persist_store", "wake_train", "evaluate", "promote"), ("seed", "guards", "tracking")),
)
"""Every stage in order. Test sequences are read by ``evaluate`` alone."""
