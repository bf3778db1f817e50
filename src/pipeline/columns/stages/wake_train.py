"""Stage ``wake_train``: live the day, task after task, with its naps; keeps the network as it was after each.

Writes ``after_<task>.safetensors`` per task and ``after_nap_<task>.safetensors`` per nap, which are checkpoints as
well: a day that was cut short goes on with the next one; and ``steps.parquet`` with the loss of every step.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from pipeline.artifacts import RunFolder, StageResult, read_table, write_table
from pipeline.columns.brain import load_brain, newborn, save_brain, single_thread
from pipeline.columns.day import live, moments_of, steps_of
from pipeline.columns.tasks import load_tasks
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
        tables: dict[str, pa.Table] = {}
        for moment in moments_of(config):
            path = stage.folder / f"{moment.name}.safetensors"
            table = stage.folder / f"steps_{moment.name}.parquet"
            if path.is_file() and table.is_file():
                brain = load_brain(path, config)
            else:
                losses = Losses(progress)
                progress.phase(moment.task or "nap", steps_of(moment, config, data))
                live(brain, moment, config, data, losses.note)
                write_table(table, losses.table(), STEPS_SCHEMA, run.config_hash)
                save_brain(brain, path)
            tables[moment.name] = read_table(table, STEPS_SCHEMA)
            stage.add(path)
        stage.write_table("steps", pa.concat_tables(tables.values()), STEPS_SCHEMA)
        moments = moments_of(config)
        stage.metrics = {
            "steps": sum(tables[moment.name].num_rows for moment in moments if moment.task is not None),
            "nap_steps": sum(tables[moment.name].num_rows for moment in moments if moment.task is None),
            "examples": {name: len(own.train) for name, own in data.items()},
            "loss_last": {name: part.column("loss")[-1].as_py() for name, part in tables.items() if part.num_rows},
        }
    return stage.result


def snapshot(woken: StageResult, moment: str) -> Path:
    """The file with the network as it was after a moment of the day."""
    return woken.path / f"{moment}.safetensors"


class Losses:
    """The loss of every step, and the bar that counts them.

    Args:
        progress: Whose phase has as many steps.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rows: list[dict[str, object]] = []

    def note(self, task: str, loss: float) -> None:
        """Add a step."""
        self._rows.append({"task": task, "step": len(self._rows), "loss": loss})
        self._progress.advance()

    def table(self) -> pa.Table:
        """Task, step and loss (nats)."""
        schema = pa.schema([("task", pa.string()), ("step", pa.int64()), ("loss", pa.float64())])
        return pa.Table.from_pylist(self._rows, schema=schema)
