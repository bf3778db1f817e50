"""Stage ``sleep_distil``: what every task knows moves under its parent's prompt and mask.

Writes ``after_sleep.safetensors`` and ``steps.parquet`` with the loss of every step.
"""

from __future__ import annotations

import numpy as np

from pipeline.artifacts import RunFolder, StageResult
from pipeline.columns.brain import load_brain, save_brain, single_thread
from pipeline.columns.day import moments_of
from pipeline.columns.schedules import schedule_of
from pipeline.columns.sleep import consolidate, parents_of, primes_of
from pipeline.columns.stages.replayed import read_replay
from pipeline.columns.stages.wake_train import STEPS_SCHEMA, Losses, snapshot
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
        replayed, evening = read_replay(run, config, inputs), moments_of(config)[-1]
        brain = load_brain(snapshot(inputs["wake_train"], evening.name), config)
        sizes, parents = {task: len(own) for task, own in replayed.items()}, parents_of(config.tasks)
        generator = np.random.default_rng([config.seed, 3])
        primes = primes_of(evening.asked_as, parents)
        progress.phase("sleep", schedule_of(sizes, primes, config.sleep, generator).steps)
        losses = Losses(progress)
        steps = consolidate(brain, replayed, evening.asked_as, parents, config.sleep, generator, losses.note)
        stage.add(save_brain(brain, stage.folder / STATE))
        stage.write_table("steps", losses.table(), STEPS_SCHEMA)
        stage.metrics = {"steps": steps, "samples": sum(map(len, replayed.values()))}
    return stage.result
