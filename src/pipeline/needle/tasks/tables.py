"""Splits as Parquet, and their rows as batches of tensors.

examples = task_of(config.data).examples(config.seed, "val")
stage.write_table("val", split_table(examples), SPLIT_SCHEMA)
for batch in batches(read_split(path), 64, "cuda"): ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from pipeline.artifacts import read_table
from pipeline.errors import ArtifactError
from pipeline.needle.tasks.counters import Integers
from pipeline.needle.tasks.task import Examples

SPLIT_SCHEMA = "needle-split/1"
_LISTS = {"tokens": pa.uint16()} | {
    name: pa.int32() for name in ("query_pos", "target", "query_pair", "pair_pos", "pair_key", "pair_val")
}


@dataclass(frozen=True)
class Batch:
    """Sequences with what they tell and ask; -1 stands where there is none.

    ``tokens`` alone is what a model may see; everything else belongs to losses and figures.

    Attributes:
        tokens: int64 (B, L).
        query_pos: Positions where an answer is due, int64 (B, Q).
        target: The answers' classes, int64 (B, Q).
        pair_pos: Positions of the value tokens of all pairs, int64 (B, P).
        pair_key: Numbers of their keys, int64 (B, P).
        pair_val: Classes of their values, int64 (B, P).
        query_pair: Which pair holds the answer, an index into the three before, int64 (B, Q).
        example_id: Index in the split, int64 (B,).
    """

    tokens: Tensor
    query_pos: Tensor
    target: Tensor
    pair_pos: Tensor
    pair_key: Tensor
    pair_val: Tensor
    query_pair: Tensor
    example_id: Tensor

    def __len__(self) -> int:
        return len(self.tokens)


def batch_of(examples: Examples, device: str | torch.device = "cpu") -> Batch:
    """All examples as one batch."""
    return Batch(
        **{
            name: torch.from_numpy(getattr(examples, name).astype(np.int64)).to(device)
            for name in Batch.__dataclass_fields__
        }
    )


def batches(
    examples: Examples, size: int, device: str | torch.device = "cpu", order: Integers | None = None
) -> Iterator[Batch]:
    """Batches of ``size`` rows, the last one maybe smaller.

    Args:
        examples: Of one split.
        size: Rows a batch.
        device: Where tensors go.
        order: Row numbers in the order wanted, see `shuffled`; None is as they stand.
    """
    rows = np.arange(len(examples)) if order is None else order
    for start in range(0, len(rows), size):
        yield batch_of(examples.rows(rows[start : start + size]), device)


def shuffled(count: int, seed: int, epoch: int) -> Integers:
    """Row numbers 0 to ``count - 1`` in the order of an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def split_table(examples: Examples) -> pa.Table:
    """One row a sequence; every list column has as many items in each row."""
    columns: dict[str, pa.Array] = {"example_id": pa.array(examples.example_id, pa.int64())}
    for name, kind in _LISTS.items():
        values = getattr(examples, name)
        offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
        flat = pa.array(np.ascontiguousarray(values).ravel(), kind)
        columns[name] = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)
    columns["tokens_used"] = pa.array(examples.tokens_used, pa.int32())
    return pa.table(columns)


def read_split(path: Path) -> Examples:
    """The examples of a split's file.

    Raises:
        ArtifactError: It is missing or torn, or its rows differ in size.
    """
    table = read_table(path, SPLIT_SCHEMA)
    columns = {}
    for name in _LISTS:
        lists = table.column(name).combine_chunks()
        flat = lists.flatten().to_numpy(zero_copy_only=False)
        if len(lists) and (np.diff(lists.offsets.to_numpy()) * len(lists) != len(flat)).any():
            raise ArtifactError(f"{path}: rows of column {name} differ in size; make the split again")
        columns[name] = flat.reshape(len(lists), -1) if len(lists) else flat.reshape(0, 0)
    single = {name: table.column(name).to_numpy() for name in ("example_id", "tokens_used")}
    return Examples(**columns, **single)


def split_figures(examples: Examples) -> dict[str, Any]:
    """How many sequences, queries, pairs and tokens there are, and how often always answering the commonest is right.

    Returns:
        ``examples``, ``length``, ``queries``, ``pairs``, ``majority_class`` and ``majority_share`` (None without any
        question), and ``tokens_used.{mean,max}``.
    """
    asked = examples.target[examples.target >= 0]
    counts = np.bincount(asked) if len(asked) else np.zeros(0, np.int64)
    used = examples.tokens_used
    return {
        "examples": len(examples),
        "length": examples.tokens.shape[1],
        "queries": len(asked),
        "pairs": int((examples.pair_pos >= 0).sum()),
        "majority_class": int(counts.argmax()) if len(asked) else None,
        "majority_share": float(counts.max() / len(asked)) if len(asked) else None,
        "tokens_used": {"mean": float(used.mean()), "max": int(used.max())} if len(used) else None,
    }
