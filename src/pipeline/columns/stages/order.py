"""The stages of a day and a night of the column network."""

from __future__ import annotations

import json

from pipeline.config import ColumnsConfig, config_dict
from pipeline.stages.registry import StageSpec


def _naps(config: ColumnsConfig) -> dict[str, str]:
    """How the day's naps sleep, if there are any: otherwise a night's settings do not change the day."""
    return {"naps": json.dumps(config_dict(config, ("sleep",)), sort_keys=True)} if config.sleep.after else {}


_LEARNED = ("seed", "tasks", "dataset", "model", "masking", "training")

STAGES: tuple[StageSpec, ...] = (
    StageSpec("wake_train", (), _LEARNED, outside=_naps),
    StageSpec("persist_store", ("wake_train",), ("seed", "session", "fresh", "tasks", "dataset", "sleep")),
    StageSpec("replay_sample", ("persist_store",), ("seed",)),
    StageSpec("sleep_distil", ("wake_train", "persist_store", "replay_sample"), (*_LEARNED, "sleep")),
    StageSpec(
        "evaluate",
        ("wake_train", "persist_store", "replay_sample", "sleep_distil"),
        (*_LEARNED, "sleep", "evaluation"),
    ),
    StageSpec(
        "promote",
        ("wake_train", "persist_store", "replay_sample", "sleep_distil", "evaluate"),
        ("guards", "tracking"),
    ),
    StageSpec(
        "report",
        ("wake_train", "persist_store", "replay_sample", "sleep_distil", "evaluate", "promote"),
        ("seed", "guards", "tracking"),
    ),
)
"""Every stage in order. Test images are read by ``evaluate`` alone."""
