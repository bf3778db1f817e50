"""Stage ``sleep_distil``: the last sleep, on what was drawn from the buffer.

Writes ``after_sleep.safetensors`` and ``steps.parquet`` with what every step tells, none if nothing is kept.
"""

from __future__ import annotations

import torch

from pipeline.artifacts import RunFolder, StageResult, read_table
from pipeline.config.liquid import PlasticityConfig
from pipeline.plasticity.day import single_thread
from pipeline.plasticity.learners import new_learner
from pipeline.plasticity.stages.wake_train import STEPS_SCHEMA, Steps, snapshot
from pipeline.progress import Progress
from pipeline.replay.sample import REPLAY_SCHEMA
from pipeline.stages.registry import opened

STATE = "after_sleep.safetensors"


def run(run: RunFolder, config: PlasticityConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
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
        learner = new_learner(config)
        learner.load(snapshot(inputs["wake_train"], config.stream.tasks))
        drawn = read_table(inputs["replay_sample"].path / "replay.parquet", REPLAY_SCHEMA).column("episode_id")
        rows = torch.tensor(sorted(int(name) for name in drawn.to_pylist()), dtype=torch.int64)
        learner.buffer.restore({name: value[rows] for name, value in learner.buffer.state().items()})
        progress.phase("sleep", learner.sleep_steps())
        told = Steps("after_sleep", learner, progress)
        learner.sleep(told.note)
        stage.add(learner.save(stage.folder / STATE))
        table = told.table()
        stage.write_table("steps", table, STEPS_SCHEMA)
        stage.metrics = {"steps": table.num_rows, "samples": len(rows)}
    return stage.result
