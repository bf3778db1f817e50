"""The stages of a consolidation night."""

from __future__ import annotations

from pipeline.artifacts import digest_file
from pipeline.config import ConsolidationConfig
from pipeline.errors import DataError
from pipeline.stages.registry import StageSpec
from pipeline.suites.documents import documents_path

STEPS_SCHEMA = "steps/3"  # of what lora_train writes and report plots


def _user_files(config: ConsolidationConfig) -> dict[str, str]:
    """Digests of the files that a suite reads."""
    path = documents_path(config.suite.path) if config.suite.name == "documents" else config.suite.path
    named = {"suite.path": path, "suite.test_forms": config.suite.test_forms}
    given = {key: path for key, path in named.items() if path is not None}
    for key, path in given.items():
        if not path.is_file():
            raise DataError(f"{key}: expected a file, found none at {path}")
    return {key: digest_file(path) for key, path in given.items()}


STAGES: tuple[StageSpec, ...] = (
    StageSpec(
        "teach",
        (),
        ("seed", "session", "fresh", "suite", "nights", "model", "encoder", "gate", "store"),
        "cpu",
        _user_files,
    ),
    StageSpec("persist_store", ("teach",), ("session", "fresh", "encoder", "gate", "store")),
    StageSpec("replay_sample", ("persist_store",), ("seed", "replay")),
    StageSpec(
        "sleep_distil", ("persist_store", "replay_sample"), ("seed", "model", "encoder", "study", "distil"), "cuda"
    ),
    StageSpec(
        "lora_train",
        ("persist_store", "replay_sample", "sleep_distil"),
        ("seed", "session", "fresh", "model", "distil", "lora"),
        "cuda",
    ),
    StageSpec(
        "evaluate",
        ("teach", "persist_store", "sleep_distil", "lora_train"),
        ("seed", "model", "encoder", "suite", "evaluation"),
        "cuda",
    ),
    StageSpec(
        "promote",
        ("teach", "persist_store", "replay_sample", "sleep_distil", "lora_train", "evaluate"),
        ("guards", "tracking"),
    ),
    StageSpec(
        "report",
        ("teach", "persist_store", "replay_sample", "sleep_distil", "lora_train", "evaluate", "promote"),
        ("seed", "evaluation", "guards", "tracking"),
    ),
)
"""Every stage in order. Training never reads ``teach``: test questions lie there, and nowhere on its way."""
