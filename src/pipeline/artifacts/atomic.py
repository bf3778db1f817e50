"""Writes that are whole or absent: temporary file, flush, fsync, rename, fsync of the folder.

    with replacing(path) as file:       # path appears, complete and durable, when the block ends
        file.write(data)

A killed writer leaves at most a ``.name.0123abcd.tmp`` beside the target, which :func:`sweep` removes.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.artifacts.digests import TEMPORARY
from pipeline.artifacts.disk import cannot_write, fsync_folder
from pipeline.artifacts.jsonable import json_safe
from pipeline.errors import ArtifactError

ROW_GROUP = 1 << 14  # rows of a Parquet file that are encoded, and decoded, at once
SCHEMA_KEY, CONFIG_KEY = b"engram.schema", b"engram.config_hash"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the place of ``path`` when the block ends without an error.

    Raises:
        ArtifactError: The disk is full or the folder cannot be written; ``path`` is as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        fsync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically; raises as :func:`replacing` does."""
    with replacing(path) as file:
        file.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value atomically, indented, keys in the given order; NumPy scalars are converted.

    Raises:
        ArtifactError: It holds NaN, infinity or something JSON has no form for; or as :func:`replacing`.
    """
    text = json.dumps(json_safe(value, path.name), indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ArtifactError: It is missing or torn.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path}: cannot read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: not valid JSON ({error}); the file was damaged, restore or remove it") from None


def write_table(path: Path, table: pa.Table, schema: str, config_hash: str) -> None:
    """Write a Parquet file atomically, with schema and config hash in its key-value metadata.

    Args:
        path: Target, ``*.parquet``.
        table: Rows; no run ids, times or memory figures, so that equal runs give equal bytes.
        schema: Name and version, for example ``answers/1``.
        config_hash: Of the run that wrote it.

    Raises:
        ArtifactError: As :func:`replacing`; or the schema name is not ``name/version``.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]*/[1-9][0-9]*", schema):
        raise ArtifactError(f"{path}: schema {schema!r} is not 'name/version', for example 'answers/1'")
    metadata = dict(table.schema.metadata or {}) | {SCHEMA_KEY: schema.encode(), CONFIG_KEY: config_hash.encode()}
    with replacing(path) as file:
        words = [field.name for field in table.schema if pa.types.is_string(field.type)]
        pq.write_table(
            table.replace_schema_metadata(metadata),
            file,
            compression="zstd",
            row_group_size=ROW_GROUP,
            use_dictionary=words,  # numbers of keys hardly repeat
        )


def read_table(
    path: Path, schema: str, *, memory_map: bool = False, columns: Collection[str] | None = None
) -> pa.Table:
    """Read a Parquet file of a known schema.

    Args:
        path: The file.
        schema: Expected name and version.
        memory_map: Whether to map the file, which spares a copy of a large one.
        columns: Which to read, those of them that there are; None reads all.

    Raises:
        ArtifactError: It is missing, torn, or of another schema or version.
    """
    with opened_table(path, schema, memory_map=memory_map) as file:
        wanted = None if columns is None else [name for name in file.schema_arrow.names if name in columns]
        return file.read(wanted)


@contextmanager
def opened_table(path: Path, schema: str, *, memory_map: bool = False) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file of a known schema; arguments and errors as of :func:`read_table`."""
    with _parquet(path, memory_map) as file:
        if (found := _schema(file)) != schema:
            raise ArtifactError(
                f"{path}: expected schema {schema!r}, found {found!r}; it was written by another stage or version"
            )
        yield file


def table_schema(path: Path) -> str:
    """Name and version of a Parquet file's schema, ``none`` for one without; raises as :func:`read_table`."""
    with _parquet(path, memory_map=False) as file:
        return _schema(file)


def _schema(file: pq.ParquetFile) -> str:
    return str((file.schema_arrow.metadata or {}).get(SCHEMA_KEY, b"none").decode())


@contextmanager
def _parquet(path: Path, memory_map: bool) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, memory_map=memory_map) as file:
            yield file
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArtifactError(f"{path}: cannot read: {reason}") from None
    except pa.ArrowException as error:
        raise ArtifactError(f"{path}: not a whole Parquet file ({error}); remove it and run again") from None


def sweep(folder: Path) -> list[Path]:
    """Remove the temporary files that killed writers left anywhere below a folder; the caller holds its lock.

    Returns:
        What was removed, sorted.
    """
    orphans = sorted(path for path in folder.rglob(".*.tmp") if TEMPORARY.fullmatch(path.name) and path.is_file())
    for path in orphans:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
    return orphans
