"""List columns come back as the matrix that was written, over any number of row groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.artifacts import atomic, write_table
from pipeline.artifacts.matrices import read_matrix
from pipeline.errors import ArtifactError


@pytest.mark.parametrize("rows", [0, 1, 7, 16, 50])
def test_a_matrix_over_row_groups(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "ROW_GROUP", 16)
    matrix = np.random.default_rng(rows).standard_normal((rows, 5)).astype(np.float32)
    table = pa.table({"id": pa.array(range(rows)), "key": pa.array(list(matrix), pa.list_(pa.float32()))})
    write_table(tmp_path / "a.parquet", table, "a/1", "h")
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == max(1, -(-rows // 16))
    found = read_matrix(tmp_path / "a.parquet", "a/1", "key")
    assert len(found) == rows
    if rows:
        assert found.dtype == np.float32 and np.array_equal(found, matrix)


@pytest.mark.parametrize("lists", [[[1.0], [2.0, 3.0]], [[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]]])
def test_unequal_lists_are_refused(lists: list[list[float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "ROW_GROUP", 1)
    write_table(tmp_path / "a.parquet", pa.table({"key": lists}), "a/1", "h")
    with pytest.raises(ArtifactError, match="unequal length"):
        read_matrix(tmp_path / "a.parquet", "a/1", "key")


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", pa.table({"id": [1]}), "a/1", "h")
    with pytest.raises(ArtifactError, match="no column 'key'"):
        read_matrix(tmp_path / "a.parquet", "a/1", "key")
