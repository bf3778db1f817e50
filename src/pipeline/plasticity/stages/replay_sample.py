"""Stage ``replay_sample``: draw what the night's sleep replays from the buffer, without replacement."""

from __future__ import annotations

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config.liquid import PlasticityConfig
from pipeline.plasticity.kept import SCHEMAS
from pipeline.progress import Progress
from pipeline.stages.buffers import draw_buffer
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
        draw_buffer(stage, run, inputs["persist_store"], SCHEMAS["buffer"], config.seed)
    return stage.result
