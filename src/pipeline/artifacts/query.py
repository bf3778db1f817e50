"""DuckDB over Parquet, in memory: no database file, no lock, any number of readers.

For example, the share of right answers per arm:

    query("select arm, avg(em::DOUBLE) em from answers group by arm", answers=run.path / "evaluate/answers.parquet")
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.errors import ArtifactError


def query(sql: str, **tables: Path | Sequence[Path]) -> pa.Table:
    """Run one SQL query.

    Args:
        sql: A query over the named tables. A literal such as ``0.5`` is DECIMAL: cast to DOUBLE where it matters.
        tables: Parquet files by table name; several files are united by column name.

    Returns:
        The result as an Arrow table.

    Raises:
        ArtifactError: A file is missing, or DuckDB refuses the query or a file.
    """
    import duckdb

    with duckdb.connect() as connection:
        for name, paths in tables.items():
            files = [paths] if isinstance(paths, Path) else list(paths)
            for path in files:
                if not path.is_file():
                    raise ArtifactError(f"{path}: table {name!r} of the query does not exist")
            try:
                relation = connection.read_parquet([str(path) for path in files], union_by_name=True)
                relation.create_view(name)
            except duckdb.Error as error:
                raise ArtifactError(f"{files[0]}: cannot be read as table {name!r}: {error}") from None
        try:
            return connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise ArtifactError(f"query failed: {error}\n{sql}") from None
