"""The stages of a day and a night of a spiking network."""

from __future__ import annotations

from pipeline.stages.registry import StageSpec

_LEARNED = ("seed", "stream", "learner", "model", "unsupervised", "sleep")

STAGES: tuple[StageSpec, ...] = (
    StageSpec("wake_train", (), _LEARNED),
    StageSpec("persist_store", ("wake_train",), ("seed", "session", "fresh", *_LEARNED[1:])),
    StageSpec("replay_sample", ("persist_store",), ("seed", "model")),
    StageSpec("sleep_distil", ("wake_train", "persist_store", "replay_sample"), _LEARNED),
    StageSpec("evaluate", ("wake_train", "sleep_distil"), (*_LEARNED, "evaluation")),
    StageSpec(
        "promote", ("wake_train", "persist_store", "replay_sample", "sleep_distil", "evaluate"), ("guards", "tracking")
    ),
    StageSpec(
        "report",
        ("wake_train", "persist_store", "replay_sample", "sleep_distil", "evaluate", "promote"),
        ("seed", "guards", "tracking"),
    ),
)
"""Every stage in order. Test images are read by ``evaluate`` alone."""
