"""Stage ``persist_store``: keep images of every task, within the budget, as a new generation of the replay buffer.

Masks and prompts, as the day left them, are a table beside the images. Writes ``store.json``, which says which
generation this night uses.
"""

from __future__ import annotations

import pyarrow as pa

from pipeline.artifacts import RunFolder, StageResult
from pipeline.columns.brain import Brain, load_brain
from pipeline.columns.buffer import BUFFER_SCHEMA, buffer_table
from pipeline.columns.day import buffered, moments_of
from pipeline.columns.stages.wake_train import snapshot
from pipeline.columns.tasks import load_tasks
from pipeline.config import ColumnsConfig
from pipeline.images import load_images
from pipeline.progress import Progress
from pipeline.stages.memory import StoreReference, generations_of, session_of
from pipeline.stages.registry import opened

KIND = "columns"
CONTROLLER_SCHEMA = "column-controller/1"


def run(run: RunFolder, config: ColumnsConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``wake_train``.
        progress: Reports parts of the work.

    Raises:
        StoreError: Another process writes the store.
    """
    with opened(run, config, "persist_store", inputs) as stage:
        if stage.hit:
            return stage.result
        progress.phase("choosing images")
        data = load_tasks(config.tasks, config.dataset, config.seed, load_images)
        examples = buffered(config, data)
        buffer = buffer_table(examples)
        brain = load_brain(snapshot(inputs["wake_train"], moments_of(config)[-1].name), config)
        store = generations_of(run, config, KIND)
        generation = store.publish(
            {"buffer": buffer, "controller": _controller_table(brain)},
            {"rows": buffer.num_rows, "budget": config.sleep.budget},
            config_hash=run.config_hash,
            schemas={"buffer": BUFFER_SCHEMA, "controller": CONTROLLER_SCHEMA},
        )
        reference = StoreReference(
            config.fresh, session_of(config), generation.number, generation.manifest.digest, KIND
        )
        stage.write_json("store.json", vars(reference))
        stage.metrics = {
            "rows": buffer.num_rows,
            "bytes": buffer.column("image").nbytes,
            "generation": generation.number,
            "by_task": {task: len(own) for task, own in examples.items()},
        }
    return stage.result


def _controller_table(brain: Brain) -> pa.Table:
    controller = brain.controller
    rows = [
        {
            "task": task,
            "mask": controller.whole_mask(task).tolist(),
            "prompt": controller.prompt(task).detach().tolist(),
        }
        for task in controller.tasks
    ]
    return pa.Table.from_pylist(rows)
