"""What the night's replay drew from the buffer, as examples by task."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.artifacts import RunFolder, StageResult, read_table
from pipeline.columns.buffer import BUFFER_SCHEMA, replayed_examples
from pipeline.columns.tasks import Examples
from pipeline.config import ColumnsConfig
from pipeline.replay.sample import REPLAY_SCHEMA
from pipeline.stages.memory import reference_of


def read_replay(run: RunFolder, config: ColumnsConfig, inputs: Mapping[str, StageResult]) -> dict[str, Examples]:
    """Examples by task, in the order of the tasks.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``persist_store`` and ``replay_sample``.
    """
    reference = reference_of(inputs["persist_store"])
    buffer = reference.store(run).generation(reference.generation).table("buffer", BUFFER_SCHEMA)
    drawn = read_table(inputs["replay_sample"].path / "replay.parquet", REPLAY_SCHEMA).column("episode_id")
    return replayed_examples(buffer, drawn.to_pylist(), [task.name for task in config.tasks])
