"""Stage ``wake_train``: learn the tasks one after the other; keeps the network as it was after each.

Writes ``after_<task>.safetensors`` per task, which are checkpoints as well: a day that was cut short goes on with the
next task; and ``steps.parquet`` with the loss of every step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.artifacts import RunFolder, StageResult, read_table, write_table
from pipeline.columns.brain import Brain, load_brain, newborn, save_brain, single_thread
from pipeline.columns.tasks import TaskData, load_tasks
from pipeline.columns.wake import learn
from pipeline.config import ColumnsConfig
from pipeline.images import load_images
from pipeline.progress import Progress
from pipeline.stages.registry import opened

STEPS_SCHEMA = "column-steps/1"


def run(run: RunFolder, config: ColumnsConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: None is read.
        progress: Reports parts of the work.

    Raises:
        DataError: The images are neither here nor to be had.
    """
    with opened(run, config, "wake_train", inputs) as stage:
        if stage.hit:
            return stage.result
        single_thread()
        progress.phase("reading images")
        data = load_tasks(config.tasks, config.dataset, config.seed, load_images)
        brain = newborn(config)
        learned: list[str] = []
        steps: list[pa.Table] = []
        for task in config.tasks:
            path = stage.folder / f"after_{task.name}.safetensors"
            table = stage.folder / f"steps_{task.name}.parquet"
            if path.is_file() and table.is_file():
                brain = load_brain(path, config)
            else:
                losses = _learn(brain, task.name, learned, data[task.name], config, progress)
                write_table(table, _table(task.name, losses), STEPS_SCHEMA, run.config_hash)
                save_brain(brain, path)
            steps.append(read_table(table, STEPS_SCHEMA))
            learned.append(task.name)
            stage.add(path)
        stage.write_table("steps", pa.concat_tables(steps), STEPS_SCHEMA)
        stage.metrics = {
            "steps": sum(part.num_rows for part in steps),
            "examples": {name: len(data[name].train) for name in learned},
            "loss_last": {name: part.column("loss")[-1].as_py() for name, part in zip(learned, steps, strict=True)},
        }
    return stage.result


def snapshot(woken: StageResult, task: str) -> Path:
    """The file with the network as it was after a task."""
    return woken.path / f"after_{task}.safetensors"


def _learn(
    brain: Brain, task: str, learned: list[str], data: TaskData, config: ColumnsConfig, progress: Progress
) -> list[float]:
    batches = -(-len(data.train) // config.training.batch_size)
    progress.phase(task, config.training.epochs * batches)
    losses: list[float] = []

    def note(loss: float) -> None:
        losses.append(loss)
        progress.advance()

    generator = np.random.default_rng([config.seed, 1, len(learned)])
    learn(brain.network, brain.controller, task, learned, data.train, config.training, generator, note)
    return losses


def _table(task: str, losses: list[float]) -> pa.Table:
    columns: dict[str, Any] = {"task": [task] * len(losses), "step": list(range(len(losses))), "loss": losses}
    return pa.table(columns)
