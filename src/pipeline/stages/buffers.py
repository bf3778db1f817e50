"""Replay of a network's whole buffer: what stage ``replay_sample`` of the flows with a network draws."""

from __future__ import annotations

from pipeline.artifacts import RunFolder, Stage, StageResult
from pipeline.config import ReplayConfig
from pipeline.replay.sample import REPLAY_SCHEMA, sample
from pipeline.stages.memory import reference_of


def draw_buffer(stage: Stage, run: RunFolder, stored: StageResult, schema: str, seed: int) -> None:
    """Draw every row of the buffer once, in an order that the seed decides.

    Args:
        stage: Takes ``replay.parquet`` and the metrics.
        run: The run's folder.
        stored: Stage ``persist_store``, which says what generation the buffer is.
        schema: Of the buffer's table.
        seed: Of the draw.
    """
    reference = reference_of(stored)
    buffer = reference.store(run).generation(reference.generation).table("buffer", schema)
    settings = ReplayConfig(policy="uniform", max_items=max(1, buffer.num_rows), cycles=1)
    table, metrics = sample({"episodic": buffer}, settings, seed, night=0)
    stage.write_table("replay", table, REPLAY_SCHEMA)
    stage.metrics = metrics
