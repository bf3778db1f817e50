"""Stage ``replay_sample``: draw what the night's sleep replays from the buffer, without replacement."""

from __future__ import annotations

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config import ReplayConfig
from pipeline.config.liquid import PlasticityConfig
from pipeline.plasticity.stages.persist_store import BUFFER_SCHEMA
from pipeline.progress import Progress
from pipeline.replay.sample import REPLAY_SCHEMA, sample
from pipeline.stages.memory import reference_of
from pipeline.stages.registry import opened


def run(run: RunFolder, config: PlasticityConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``persist_store``.
        progress: Reports parts of the work.
    """
    with opened(run, config, "replay_sample", inputs) as stage:
        if stage.hit:
            return stage.result
        progress.phase("drawing images")
        reference = reference_of(inputs["persist_store"])
        buffer = reference.store(run).generation(reference.generation).table("buffer", BUFFER_SCHEMA)
        settings = ReplayConfig(policy="uniform", max_items=max(1, buffer.num_rows), cycles=1)
        table, metrics = sample({"episodic": buffer}, settings, config.seed, night=0)
        stage.write_table("replay", table, REPLAY_SCHEMA)
        stage.metrics = metrics
    return stage.result
