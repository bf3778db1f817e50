"""The gate's decisions as a table, from which they can be made again, each one.

table = gate_table(config.nce, [(signals, decision), ...])      # columns may be appended to it
assert replayed(table) == decisions_of(table)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

import pyarrow as pa

from pipeline.config.hashing import canonical_json
from pipeline.config.nce import NceConfig
from pipeline.errors import DataError
from pipeline.needle.decisions import Decision, Signals, State
from pipeline.needle.scheduler import advance

GATE_SCHEMA = "needle-gate/1"
_CONFIG = b"engram.nce"
_SEEN = "seen_"  # what the epoch before measured; measurements of the epoch itself may stand beside it
_TYPES = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "str": pa.string()}
_DECIDED = [(field.name, _TYPES[str(field.type).split(" ")[0]]) for field in fields(Decision)]
_SIGNALS = [(_SEEN + field.name, pa.float64()) for field in fields(Signals)]


def decided(config: NceConfig, signals: Iterable[Signals]) -> tuple[State, list[Decision]]:
    """All decisions of a run from its signals, one an epoch, and the state to go on from."""
    state, decisions = State(), []
    for seen in signals:
        state, decision = advance(config, state, seen)
        decisions.append(decision)
    return state, decisions


def gate_table(config: NceConfig, epochs: Sequence[tuple[Signals, Decision]]) -> pa.Table:
    """One row an epoch: its signals, each column's name after ``seen_``, and its decision.

    The configuration stands in the metadata of the schema.
    """
    rows = [{_SEEN + name: value for name, value in asdict(s).items()} | asdict(d) for s, d in epochs]
    metadata = {_CONFIG: canonical_json(config.model_dump(mode="json"))}
    return pa.Table.from_pylist(rows, schema=pa.schema([*_DECIDED, *_SIGNALS], metadata=metadata))


def decisions_of(table: pa.Table) -> list[Decision]:
    """The decisions that a table holds; columns of other names are passed over."""
    return [Decision(**row) for row in _columns(table, [name for name, _ in _DECIDED])]


def signals_of(table: pa.Table) -> list[Signals]:
    """What each epoch was decided from."""
    rows = _columns(table, [name for name, _ in _SIGNALS])
    return [Signals(**{name.removeprefix(_SEEN): value for name, value in row.items()}) for row in rows]


def replayed(table: pa.Table, config: NceConfig | None = None) -> list[Decision]:
    """The decisions that follow from a table's signals, whatever it says was decided.

    Args:
        table: From `gate_table`, rows of all epochs in order.
        config: None is the one in the table's metadata.

    Raises:
        DataError: A column is missing, or the configuration is.
    """
    if config is None:
        text = (table.schema.metadata or {}).get(_CONFIG)
        if text is None:
            raise DataError(f"the table has no {_CONFIG.decode()} in its metadata: give the section of the gate too")
        config = NceConfig.model_validate_json(text)
    return decided(config, signals_of(table))[1]


def _columns(table: pa.Table, names: list[str]) -> list[dict[str, Any]]:
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise DataError(f"no table of the gate: it has no column {', '.join(missing)}")
    rows: list[dict[str, Any]] = table.select(names).to_pylist()
    return rows
