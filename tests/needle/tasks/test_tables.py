"""Splits as files, and batches of them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.artifacts import write_table
from pipeline.config.needle_task import DataConfig
from pipeline.errors import ArtifactError
from pipeline.needle.tasks.registry import task_of
from pipeline.needle.tasks.tables import (
    SPLIT_SCHEMA,
    Batch,
    batch_of,
    batches,
    read_split,
    shuffled,
    split_figures,
    split_table,
)
from pipeline.needle.tasks.task import Examples

CONFIG = DataConfig(length=64, n_pairs=3, n_queries=2, overwrites=1, train_size=10)


def made(**changes: object) -> Examples:
    return task_of(CONFIG.at(**changes)).examples(0, "train")


@pytest.mark.parametrize("task", ["needle", "listops"])
def test_a_split_comes_back_from_its_file(tmp_path: Path, task: str) -> None:
    ranges = {"min_length": 4, "max_length": 40}
    config = (
        CONFIG
        if task == "needle"
        else DataConfig.model_validate({"task": task, "length": 64, "train_size": 5, "listops": ranges})
    )
    examples = task_of(config).examples(0, "train")
    table = split_table(examples)
    assert table.schema.field("tokens").type == pa.list_(pa.uint16())
    write_table(tmp_path / "train.parquet", table, SPLIT_SCHEMA, "0" * 16)
    back = read_split(tmp_path / "train.parquet")
    for field in fields(Examples):
        one, other = getattr(back, field.name), getattr(examples, field.name)
        assert one.dtype == other.dtype and np.array_equal(one, other), field.name


def test_rows_of_unequal_size_are_refused(tmp_path: Path) -> None:
    table = split_table(made())
    rows = table.column("target").to_pylist()
    rows[3] = rows[3][:1]
    ragged = table.set_column(table.schema.get_field_index("target"), "target", pa.array(rows, pa.list_(pa.int32())))
    write_table(tmp_path / "train.parquet", ragged, SPLIT_SCHEMA, "0" * 16)
    with pytest.raises(ArtifactError, match="rows of column target differ in size"):
        read_split(tmp_path / "train.parquet")


def test_batches_are_tensors_of_the_rows() -> None:
    examples = made()
    parts = list(batches(examples, 4, order=np.arange(10)[::-1]))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert parts[0].tokens.shape == (4, 64) and parts[0].query_pos.shape == (4, 2) and parts[0].pair_pos.shape == (4, 4)
    whole = batch_of(examples)
    for field in fields(Batch):
        joined = torch.cat([getattr(part, field.name) for part in parts]).flip(0)
        assert joined.dtype == torch.int64 and torch.equal(joined, getattr(whole, field.name))
    values = whole.tokens.gather(1, whole.pair_pos) - task_of(CONFIG).ids["values"]
    assert torch.equal(values, whole.pair_val)
    assert torch.equal(whole.pair_val.gather(1, whole.query_pair), whole.target)


def test_epochs_have_orders_of_their_own_that_come_back() -> None:
    first = shuffled(100, 1, 0)
    assert sorted(first) == list(range(100)) and np.array_equal(first, shuffled(100, 1, 0))
    assert not np.array_equal(first, shuffled(100, 1, 1)) and not np.array_equal(first, shuffled(100, 2, 0))


def test_figures_of_a_split() -> None:
    examples = made()
    examples.target[:] = -1
    examples.target[:4, 0], examples.target[4, 0] = 7, 2
    figures = split_figures(examples)
    assert (figures["majority_class"], figures["majority_share"], figures["queries"]) == (7, 0.8, 5)
    assert (figures["examples"], figures["length"], figures["pairs"]) == (10, 64, 40)
    examples.target[:] = -1
    assert split_figures(examples)["majority_share"] is None
