"""Stage ``persist_store``: the task buffer and every weight's importance, as a new generation of the store.

Writes ``store.json``, which says which generation this night uses.
"""

from __future__ import annotations

import pyarrow as pa

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config.liquid import PlasticityConfig
from pipeline.plasticity.buffer import TaskBuffer
from pipeline.plasticity.importance import Consolidation
from pipeline.plasticity.stages.wake_train import newborn, snapshot
from pipeline.progress import Progress
from pipeline.stages.memory import StoreReference, generations_of, session_of
from pipeline.stages.registry import opened

KIND = "plasticity"
BUFFER_SCHEMA = "task-buffer/1"
IMPORTANCE_SCHEMA = "weight-importance/1"


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
        progress.phase("storing buffer and importance")
        learner = newborn(config)
        learner.load(snapshot(inputs["wake_train"], config.stream.tasks))
        buffer = _buffer_table(learner.buffer)
        store = generations_of(run, config, KIND)
        generation = store.publish(
            {"buffer": buffer, "importance": _importance_table(learner.consolidation)},
            {"rows": buffer.num_rows, "budget": config.model.replay_buffer_size},
            config_hash=run.config_hash,
            schemas={"buffer": BUFFER_SCHEMA, "importance": IMPORTANCE_SCHEMA},
        )
        reference = StoreReference(
            config.fresh, session_of(config), generation.number, generation.manifest.digest, KIND
        )
        stage.write_json("store.json", vars(reference))
        by_task = {str(task + 1): int((learner.buffer.tasks == task).sum()) for task in range(config.stream.tasks)}
        stage.metrics = {
            "rows": buffer.num_rows,
            "bytes": learner.buffer.bytes,
            "generation": generation.number,
            "by_task": by_task,
        }
    return stage.result


def _buffer_table(buffer: TaskBuffer) -> pa.Table:
    rows = [
        {
            "episode_id": str(number),
            "task": task + 1,
            "label": label,
            "score": score,
            "image": image.tobytes(),
            "logits": logits,
            "consolidate": True,
        }
        for number, (task, label, score, image, logits) in enumerate(
            zip(
                buffer.tasks.tolist(),
                buffer.labels.tolist(),
                buffer.scores.tolist(),
                buffer.images.numpy(),
                buffer.logits.tolist(),
                strict=True,
            )
        )
    ]
    schema = pa.schema(
        [
            ("episode_id", pa.string()),
            ("task", pa.int32()),
            ("label", pa.int32()),
            ("score", pa.float32()),
            ("image", pa.binary(784)),
            ("logits", pa.list_(pa.float32())),
            ("consolidate", pa.bool_()),
        ]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def _importance_table(consolidation: Consolidation) -> pa.Table:
    schema = pa.schema(
        [("parameter", pa.string()), ("shape", pa.list_(pa.int64())), ("importance", pa.list_(pa.float32()))]
    )
    rows = [
        {"parameter": name, "shape": list(value.shape), "importance": value.flatten().tolist()}
        for name, value in consolidation.importance.items()
    ]
    return pa.Table.from_pylist(rows, schema=schema)
