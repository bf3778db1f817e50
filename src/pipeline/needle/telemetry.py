"""Tables of a training: epochs with the gate's decisions, steps, and single reads and writes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.config.nce import NceConfig
from pipeline.needle.decisions import Decision, Signals
from pipeline.needle.gate_table import gate_table
from pipeline.needle.training import Row

EPOCHS_SCHEMA, STEPS_SCHEMA, SAMPLES_SCHEMA = "needle-epochs/1", "needle-steps/1", "needle-samples/1"

_SAMPLES = pa.schema(
    [
        ("split", pa.string()),
        ("epoch", pa.int32()),
        ("event", pa.string()),
        ("example_id", pa.int64()),
        ("time", pa.int32()),
        ("target", pa.int32()),
        ("pred", pa.int32()),
        ("cos", pa.float32()),
        ("bucket", pa.int32()),
        ("cos_raw", pa.float32()),
        ("cleanup", pa.float32()),
        ("entropy", pa.float32()),
        ("gate", pa.float32()),
    ]
)


def epochs_table(
    config: NceConfig, signals: Sequence[Signals], decisions: Sequence[Decision], rows: Sequence[Row]
) -> pa.Table:
    """One row an epoch: what the gate saw and decided, from which it can be replayed, and what was measured then."""
    table = gate_table(config, list(zip(signals, decisions, strict=True)))
    for name in sorted({name for row in rows for name in row}):
        values = [row.get(name) for row in rows]
        column = pa.array([None if value is None or math.isnan(value) else value for value in values], pa.float64())
        table = table.append_column(name, column.cast(pa.int64()) if name == "step" else column)
    return table


def steps_table(figures: Sequence[Row], first: int) -> pa.Table:
    """One row a step, counted from ``first``."""
    names = sorted({name for row in figures for name in row})
    columns = {name: pa.array([row.get(name) for row in figures], pa.float64()) for name in names}
    return pa.table({"step": pa.array(range(first, first + len(figures)), pa.int64()), **columns})


def samples_table(rows: Iterable[Mapping[str, Any]], most: int | None = None) -> pa.Table:
    """Single reads and writes, one a row.

    Args:
        rows: From `pipeline.needle.measures.samples`.
        most: Sequences that are kept, the first ones; None keeps all.
    """
    kept = [row for row in rows if most is None or row["example_id"] < most]
    return pa.Table.from_pylist([{k: _present(v) for k, v in row.items()} for row in kept], schema=_SAMPLES)


def _present(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
