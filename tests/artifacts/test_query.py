"""DuckDB over Parquet, in memory."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.artifacts import query, write_table
from pipeline.errors import ArtifactError


@pytest.fixture
def old(tmp_path: Path) -> Path:
    write_table(tmp_path / "old.parquet", pa.table({"arm": ["pre", "post"], "em": [0.0, 1.0]}), "answers/1", "h")
    return tmp_path / "old.parquet"


def test_a_query_reads_several_named_tables(old: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "w.parquet", pa.table({"arm": ["post"], "weight": [0.5]}), "weights/1", "h")
    result = query("select arm, em * weight as x from a join w using (arm)", a=old, w=tmp_path / "w.parquet")
    assert result.to_pylist() == [{"arm": "post", "x": 0.5}]


@pytest.mark.parametrize("newest_first", [True, False])
def test_files_are_united_by_name_so_that_no_column_is_dropped(old: Path, tmp_path: Path, newest_first: bool) -> None:
    new = tmp_path / "new.parquet"
    write_table(new, pa.table({"f1": [0.5], "em": [0.5], "arm": ["new"]}), "answers/2", "h")
    files = [new, old] if newest_first else [old, new]
    rows = query("select arm, f1 from answers order by arm", answers=files).to_pylist()
    assert rows == [{"arm": "new", "f1": 0.5}, {"arm": "post", "f1": None}, {"arm": "pre", "f1": None}]


def test_missing_torn_and_wrong_are_artifact_errors(old: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"none\.parquet: table 'a' of the query does not exist"):
        query("select 1", a=tmp_path / "none.parquet")
    (tmp_path / "torn.parquet").write_bytes(old.read_bytes()[:50])
    with pytest.raises(ArtifactError, match=r"torn\.parquet: cannot be read"):
        query("select * from a", a=tmp_path / "torn.parquet")
    with pytest.raises(ArtifactError, match="query failed"):
        query("select nothing from a", a=old)
