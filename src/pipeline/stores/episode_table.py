"""The table ``episodes`` of a store's files: one row an episode, its fields and its keys, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import StoreError
from pipeline.replay.hashing import IDENTITY_HASH, identity_hashes
from pipeline.stores.episode import EPISODE_SCHEMA, EPISODIC, Episode, Episodes
from pipeline.stores.records import Records, schema_of
from pipeline.stores.sparse import Expansion, SparseCode

_COLUMNS = schema_of(Episode)
_MATRICES = ("key", "code", "activity")
_LATER = frozenset(
    {"details", "night", "last_used", "loss"}
)  # columns that older files lack; their rows take the default
_CHUNK = 1 << 20  # rows of a list column at once, whose offsets have 32 bits
FIELDS = (*_COLUMNS.names, IDENTITY_HASH)
"""Columns of the table ``episodes`` without keys and codes, which are nine tenths of it."""


def to_table(episodes: Episodes) -> pa.Table:
    """One row per episode: its fields, then ``key``, ``code`` and ``activity`` as lists, and its hash for replay."""
    table = episodes.records.table
    matrices = (episodes.keys, episodes.code.units, episodes.code.activity)
    for name, matrix, kind in zip(_MATRICES, matrices, (pa.float32(), pa.int32(), pa.float32()), strict=True):
        table = table.append_column(name, _lists(matrix, kind))
    return table.append_column(IDENTITY_HASH, pa.array(identity_hashes(EPISODIC, table), pa.uint64()))


def from_table(table: pa.Table, expansion: Expansion) -> Episodes:
    """Reads :func:`to_table` back; codes of another width are made anew from the dense keys.

    A table written before rows had their later columns opens too; those take their defaults.

    Raises:
        StoreError: A column is missing, or keys have another length than the encoder's vectors.
    """
    _refuse_missing(table.column_names)
    return from_columns(table, {name: _matrix(table, name) for name in _MATRICES}, expansion)


def from_columns(table: pa.Table, matrices: Mapping[str, NDArray[Any]], expansion: Expansion) -> Episodes:
    """As :func:`from_table`, of a table without lists, and the lists as matrices (n, width) by name."""
    _refuse_missing([*table.column_names, *matrices])
    if table.num_rows == 0:
        return Episodes.empty(expansion)
    rows = rows_of(table)
    keys = np.asarray(matrices["key"], np.float32)
    if keys.shape[1] != expansion.dimension:
        raise StoreError(f"episodes table: expected keys of length {expansion.dimension}, found {keys.shape[1]}")
    units = np.asarray(matrices["code"], np.int32)
    if units.shape[1] != expansion.active or units.max(initial=0) >= expansion.units:
        return Episodes.of(rows, keys, expansion)
    return Episodes(rows, keys, SparseCode(units, np.asarray(matrices["activity"], np.float32)), expansion.units)


def _refuse_missing(present: Sequence[str]) -> None:
    missing = sorted({*_COLUMNS.names, *_MATRICES} - _LATER - set(present))
    if missing:
        raise StoreError(f"episodes table: expected schema {EPISODE_SCHEMA}, column(s) {', '.join(missing)} missing")


def rows_of(table: pa.Table) -> Records[Episode]:
    """The fields as columns; what an older table lacks takes its default."""
    defaults = {field.name: field.default for field in fields(Episode)}
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.repeat(pa.scalar(defaults[field.name], field.type), table.num_rows)
        for field in _COLUMNS
    ]
    return Records(Episode, pa.table(columns, schema=_COLUMNS))


def _lists(matrix: NDArray[Any], kind: pa.DataType) -> pa.ChunkedArray:
    """A (n, width) matrix as a list column, without a copy of its numbers."""
    return pa.chunked_array(
        [_list(matrix[first : first + _CHUNK], kind) for first in range(0, len(matrix), _CHUNK)], pa.list_(kind)
    )


def _list(matrix: NDArray[Any], kind: pa.DataType) -> pa.Array:
    count, width = matrix.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width, pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(matrix).reshape(-1), kind))


def _matrix(table: pa.Table, column: str) -> NDArray[Any]:
    """A list column of equal lengths as a (n, width) matrix."""
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table.column(column).chunks if len(chunk)]
    if not flat:
        return np.zeros((0, 0), np.float32)
    numbers = flat[0] if len(flat) == 1 else np.concatenate(flat)
    if len(numbers) % table.num_rows:
        raise StoreError(f"episodes table: column {column!r} holds lists of unequal length")
    matrix: NDArray[Any] = numbers.reshape(table.num_rows, -1)
    return matrix
