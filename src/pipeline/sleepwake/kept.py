"""The episodic store on disk: a generation for every change, opened again by the stages of the run that wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.sleepwake.surprise_store import SCHEMA_NAME, SurpriseStore, slots_table
from pipeline.stages.memory import StoreReference, generations_of, reference_of, session_of

KIND, TABLE = "surprises", "surprises"


@dataclass(frozen=True)
class Published:
    """A generation that was written.

    Attributes:
        number: Of the generation.
        reference: What ``store.json`` of a stage says about it.
        bytes: On disk.
    """

    number: int
    reference: dict[str, Any]
    bytes: int


def publish_slots(run: RunFolder, config: SleepWakeConfig, store: SurpriseStore) -> Published:
    """Publish the next generation: private to a fresh run, the session's for a continuing one.

    Raises:
        StoreError: Another process writes the store.
    """
    generation = generations_of(run, config, KIND).publish(
        {TABLE: slots_table(store.slots)},
        {"rows": len(store.slots), "next_id": store.next_id},
        config_hash=run.config_hash,
        schemas={TABLE: SCHEMA_NAME},
    )
    reference = StoreReference(config.fresh, session_of(config), generation.number, generation.manifest.digest, KIND)
    size = sum(file.stat().st_size for file in generation.path.glob("*.parquet"))
    return Published(generation.number, vars(reference), size)


def read_slots(run: RunFolder, stored: StageResult) -> tuple[pa.Table, int]:
    """The slots that a stage published, and the id of the next new one.

    Raises:
        ArtifactError: A file is missing or differs from its digest.
    """
    reference = reference_of(stored)
    generation = reference.store(run).generation(reference.generation)
    return generation.table(TABLE, SCHEMA_NAME), int(generation.metadata["next_id"])
