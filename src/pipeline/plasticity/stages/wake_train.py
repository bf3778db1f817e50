"""Stage ``wake_train``: learn task after task, with a sleep after each but the last.

Writes ``after_<n>.safetensors`` per task: the network as it was when the task had been learned and, but for the last
one, slept on; with buffer, importance and generators, so that a day that was cut short goes on with the next task. And
``steps.parquet`` with the loss of every step, or what else the learner tells.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from pipeline.artifacts import RunFolder, StageResult, read_table, write_table
from pipeline.config.liquid import PlasticityConfig
from pipeline.images import load_images
from pipeline.plasticity.day import moments_of, single_thread
from pipeline.plasticity.learners import new_learner
from pipeline.plasticity.protocol import KeptLearner
from pipeline.plasticity.streams import stream_of
from pipeline.progress import Progress
from pipeline.stages.registry import opened

STEPS_SCHEMA = "plasticity-steps/1"


def run(run: RunFolder, config: PlasticityConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
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
        stream = stream_of(config.stream, config.seed, load_images, judged_by="validation")
        learner = new_learner(config)
        tables: dict[str, pa.Table] = {}
        for number, task in enumerate(stream.train):
            name, last = moments_of(len(stream.train))[number], number + 1 == len(stream.train)
            path, table = stage.folder / f"{name}.safetensors", stage.folder / f"steps_{name}.parquet"
            if path.is_file() and table.is_file():
                learner.load(path)
            else:
                told = Steps(name, learner, progress)
                progress.phase(f"task {number + 1} of {len(stream.train)}", learner.wake_steps(task))
                learner.wake(task, told.note)
                if not last:
                    progress.phase(f"sleep after task {number + 1}", learner.sleep_steps())
                    learner.sleep(told.note)
                write_table(table, told.table(), STEPS_SCHEMA, run.config_hash)
                learner.save(path)
            tables[name] = read_table(table, STEPS_SCHEMA)
            stage.add(path)
        steps = pa.concat_tables(tables.values())
        numbered = steps.set_column(1, "step", pa.array(range(steps.num_rows), pa.int64()))
        stage.write_table("steps", numbered, STEPS_SCHEMA)
        stage.metrics = {
            "steps": steps.num_rows,
            "examples": {str(number + 1): len(task) for number, task in enumerate(stream.train)},
        }
    return stage.result


def snapshot(woken: StageResult, number: int) -> Path:
    """The file with the learner as it was after a task, counted from 1."""
    return woken.path / f"after_{number}.safetensors"


class Steps:
    """What a learner tells of every step of a moment, and the bar that counts them.

    Args:
        moment: Its name.
        learner: Says what its figure is called.
        progress: Whose phase has as many steps.
    """

    def __init__(self, moment: str, learner: KeptLearner, progress: Progress) -> None:
        self._moment, self._figure, self._progress = moment, learner.step_figure, progress
        self._told: list[float] = []

    def note(self, figure: float) -> None:
        """Add a step."""
        self._told.append(figure)
        self._progress.advance()

    def table(self) -> pa.Table:
        """Moment, step and the figure."""
        count = len(self._told)
        return pa.table(
            {
                "moment": pa.array([self._moment] * count, pa.string()),
                "step": pa.array(range(count), pa.int64()),
                self._figure: pa.array(self._told, pa.float64()),
            }
        )
