"""Stage ``persist_store``: what the learner keeps, as a new generation of the store.

Of the liquid network that is the task buffer and every weight's importance; of neurons that compete, the neurons.
Writes ``store.json``, which says which generation this night uses.
"""

from __future__ import annotations

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config.liquid import PlasticityConfig
from pipeline.plasticity.kept import SCHEMAS
from pipeline.plasticity.learners import new_learner
from pipeline.plasticity.stages.wake_train import snapshot
from pipeline.progress import Progress
from pipeline.stages.memory import StoreReference, generations_of, session_of
from pipeline.stages.registry import opened

KIND = "plasticity"


def run(run: RunFolder, config: PlasticityConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
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
        progress.phase("storing what is kept")
        learner = new_learner(config)
        learner.load(snapshot(inputs["wake_train"], config.stream.tasks))
        tables = dict(learner.kept())
        rows = tables["buffer"].num_rows
        store = generations_of(run, config, KIND)
        generation = store.publish(
            tables,
            {"rows": rows, "budget": learner.buffer.capacity},
            config_hash=run.config_hash,
            schemas={name: SCHEMAS[name] for name in tables},
        )
        reference = StoreReference(
            config.fresh, session_of(config), generation.number, generation.manifest.digest, KIND
        )
        stage.write_json("store.json", vars(reference))
        by_task = {str(task + 1): int((learner.buffer.tasks == task).sum()) for task in range(config.stream.tasks)}
        stage.metrics = {
            "rows": rows,
            "bytes": learner.buffer.bytes,
            "generation": generation.number,
            "by_task": by_task,
        }
    return stage.result
