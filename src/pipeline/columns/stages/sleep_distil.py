"""Stage ``sleep_distil``: what every task knows moves under its parent's prompt and mask.

Writes ``after_sleep.safetensors`` and ``steps.parquet`` with the loss of every step.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.artifacts import RunFolder, StageResult
from pipeline.columns.brain import load_brain, save_brain, single_thread
from pipeline.columns.schedules import schedule_of
from pipeline.columns.sleep import consolidate, parents_of
from pipeline.columns.stages.replayed import read_replay
from pipeline.columns.stages.wake_train import STEPS_SCHEMA, snapshot
from pipeline.config import ColumnsConfig
from pipeline.progress import Progress
from pipeline.stages.registry import opened

STATE = "after_sleep.safetensors"


def run(run: RunFolder, config: ColumnsConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``wake_train``, ``persist_store`` and ``replay_sample``.
        progress: Reports parts of the work.
    """
    with opened(run, config, "sleep_distil", inputs) as stage:
        if stage.hit:
            return stage.result
        single_thread()
        replayed = read_replay(run, config, inputs)
        brain = load_brain(snapshot(inputs["wake_train"], config.tasks[-1].name), config)
        sizes, parents = {task: len(own) for task, own in replayed.items()}, parents_of(config.tasks)
        generator = np.random.default_rng([config.seed, 3])
        progress.phase("sleep", schedule_of(sizes, parents, config.sleep, generator).steps)
        losses: list[dict[str, object]] = []

        def note(task: str, loss: float) -> None:
            losses.append({"task": task, "step": len(losses), "loss": loss})
            progress.advance()

        steps = consolidate(brain, replayed, parents, config.sleep, generator, note)
        stage.add(save_brain(brain, stage.folder / STATE))
        schema = pa.schema([("task", pa.string()), ("step", pa.int64()), ("loss", pa.float64())])
        stage.write_table("steps", pa.Table.from_pylist(losses, schema=schema), STEPS_SCHEMA)
        stage.metrics = {"steps": steps, "samples": sum(map(len, replayed.values()))}
    return stage.result
