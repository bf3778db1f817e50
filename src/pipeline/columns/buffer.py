"""The replay buffer: images of every task with the answers that they were learned with, as rows of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch

from pipeline.columns.tasks import Examples

BUFFER_SCHEMA = "image-buffer/1"
_PIXELS = 784
_SCHEMA = pa.schema(
    [
        ("episode_id", pa.string()),
        ("task", pa.string()),
        ("row", pa.int64()),
        ("image", pa.binary(_PIXELS)),
        ("answer", pa.bool_()),
        ("consolidate", pa.bool_()),
    ]
)


def kept(sizes: Mapping[str, int], budget: int | None, seed: int) -> dict[str, list[int]]:
    """Which examples of each task the buffer keeps, drawn evenly; None keeps all, in their order."""
    if budget is None:
        return {task: list(range(size)) for task, size in sizes.items()}
    return {
        task: [int(i) for i in np.random.default_rng([seed, 2, number]).permutation(size)[:budget]]
        for number, (task, size) in enumerate(sizes.items())
    }


def buffer_table(examples: Mapping[str, Examples]) -> pa.Table:
    """The buffer's rows; ``episode_id`` is ``task/row``."""
    rows = []
    for task, own in examples.items():
        pixels = (own.images * 255).round().to(torch.uint8).numpy()
        for pixel, answer, row in zip(pixels, own.answers.tolist(), own.rows.tolist(), strict=True):
            rows.append(
                {
                    "episode_id": f"{task}/{row}",
                    "task": task,
                    "row": row,
                    "image": pixel.tobytes(),
                    "answer": answer > 0.5,
                    "consolidate": True,
                }
            )
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def replayed_examples(buffer: pa.Table, episode_ids: Sequence[str], tasks: Sequence[str]) -> dict[str, Examples]:
    """The drawn rows as examples by task, each task's in the order of the draw; a task without rows is empty."""
    at = {name: number for number, name in enumerate(buffer.column("episode_id").to_pylist())}
    drawn = buffer.take(pa.array([at[name] for name in episode_ids], pa.int64()))
    owners = np.asarray(drawn.column("task").to_pylist(), dtype=object)
    pixels = np.frombuffer(b"".join(drawn.column("image").to_pylist()), np.uint8).reshape(-1, _PIXELS)
    answers = np.asarray(drawn.column("answer").to_pylist(), dtype=np.float32)
    rows = np.asarray(drawn.column("row").to_pylist(), dtype=np.int64)
    found = {}
    for task in tasks:
        own = np.flatnonzero(owners == task)
        images = torch.from_numpy(pixels[own].astype(np.float32) / 255)
        found[task] = Examples(images, torch.from_numpy(answers[own]), rows[own])
    return found
