"""Rows of a frozen dataclass kept as Arrow columns: a million of them take no Python objects until they are looked at.

rows = Records.of(Episode, episodes)
rows[3], list(rows), rows.take([5, 2])          # objects where they are wanted
rows.column("salience"), rows.replace(salience=...)  # columns where they are many
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Generic, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Row = TypeVar("Row")
_TYPES = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
_BLOCK = 4096  # rows that are objects at one time


def schema_of(kind: type[Any]) -> pa.Schema:
    """The Arrow schema of a dataclass with fields of type str, int, float and bool."""
    return pa.schema([(field.name, _TYPES[str(field.type)]) for field in fields(kind)])


class Records(Sequence[Row], Generic[Row]):
    """n rows of a dataclass.

    Args:
        kind: The dataclass.
        table: Its fields as columns, in the order of the fields.
    """

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(self, kind: type[Row], table: pa.Table) -> None:
        self._kind = kind
        self._table = table.combine_chunks()

    @classmethod
    def of(cls, kind: type[Row], rows: Iterable[Row]) -> Records[Row]:
        """Those rows as columns; what is columns already stays."""
        if isinstance(rows, Records):
            return rows
        schema, known = schema_of(kind), tuple(rows)
        columns = {
            name: pa.array([getattr(row, name) for row in known], schema.field(name).type) for name in schema.names
        }
        return cls(kind, pa.table(columns, schema=schema))

    @property
    def table(self) -> pa.Table:
        """The columns."""
        return self._table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, number: int) -> Row: ...
    @overload
    def __getitem__(self, number: slice) -> Records[Row]: ...
    def __getitem__(self, number: int | slice) -> Row | Records[Row]:
        if isinstance(number, slice):
            return self.take(range(*number.indices(len(self))))
        at = int(number) + (len(self) if number < 0 else 0)
        if not 0 <= at < len(self):
            raise IndexError(f"row {number} of {len(self)}")
        return self._objects(self._table.slice(at, 1))[0]

    def __iter__(self) -> Iterator[Row]:
        for first in range(0, len(self), _BLOCK):
            yield from self._objects(self._table.slice(first, _BLOCK))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sequence)
            and len(self) == len(other)
            and all(a == b for a, b in zip(self, other, strict=True))
        )

    def column(self, name: str) -> NDArray[Any]:
        """The values of one field, shape (n,); strings as objects."""
        values: NDArray[Any] = self._table.column(name).to_numpy()
        return values

    def take(self, numbers: Sequence[int] | NDArray[np.intp]) -> Records[Row]:
        """The rows of these numbers, in this order."""
        return Records(self._kind, self._table.take(pa.array(np.asarray(numbers, dtype=np.int64))))

    def join(self, other: Iterable[Row]) -> Records[Row]:
        """These rows, then those."""
        return Records(self._kind, pa.concat_tables([self._table, Records.of(self._kind, other).table]))

    def where(self, name: str, values: Collection[str]) -> list[int]:
        """Numbers of the rows of which a field is one of ``values``, ascending."""
        if not values:
            return []
        found = pc.is_in(self._table.column(name), value_set=pa.array(list(values), pa.string()))
        return [int(i) for i in np.flatnonzero(found.to_numpy())]

    def replace(self, **columns: NDArray[Any]) -> Records[Row]:
        """The same rows with other values of some fields, shape (n,) each."""
        table = self._table
        for name, values in columns.items():
            at = table.schema.get_field_index(name)
            table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
        return Records(self._kind, table)

    def put(self, rows: Mapping[int, Row]) -> Records[Row]:
        """The same rows with other ones in some places, by number."""
        if not rows:
            return self
        places = np.arange(len(self))
        for new, number in enumerate(rows):
            places[number] = len(self) + new
        return self.join(rows.values()).take(places)

    def _objects(self, table: pa.Table) -> list[Row]:
        columns = (column.to_pylist() for column in table.columns)
        return [self._kind(*values) for values in zip(*columns, strict=True)]
