"""What the store keeps of a learner, as tables: images for replay, importance of weights, and neurons that compete."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from torch import Tensor

from pipeline.plasticity.buffer import TaskBuffer
from pipeline.plasticity.importance import Consolidation
from pipeline.plasticity.unsupervised import CompetingLayer

SCHEMAS: Mapping[str, str] = {
    "buffer": "task-buffer/1",
    "importance": "weight-importance/1",
    "neurons": "competing-neurons/1",
}
"""Schema of every table, by its name."""


def buffer_table(buffer: TaskBuffer) -> pa.Table:
    """A row an image, with its label, logits and the task that it came in."""
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


def importance_table(consolidation: Consolidation) -> pa.Table:
    """A row a parameter, with the importance of each of its weights."""
    schema = pa.schema(
        [("parameter", pa.string()), ("shape", pa.list_(pa.int64())), ("importance", pa.list_(pa.float32()))]
    )
    rows = [
        {"parameter": name, "shape": list(value.shape), "importance": value.flatten().tolist()}
        for name, value in consolidation.importance.items()
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def neurons_table(layer: CompetingLayer, shares: Tensor) -> pa.Table:
    """A row a neuron: what it sees, what adaptation adds to its threshold, and what it stands for.

    Args:
        layer: Its neurons.
        shares: Of each neuron's spikes by class, shape (N, C).
    """
    schema = pa.schema(
        [
            ("neuron", pa.int32()),
            ("threshold", pa.float32()),
            ("shares", pa.list_(pa.float32())),
            ("weights", pa.list_(pa.float32())),
        ]
    )
    columns = (range(len(shares)), layer.thresholds.tolist(), shares.tolist(), layer.weights.tolist())
    rows = [dict(zip(schema.names, row, strict=True)) for row in zip(*columns, strict=True)]
    return pa.Table.from_pylist(rows, schema=schema)
