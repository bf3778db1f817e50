"""One row of a night's training set: a prompt, the continuation to learn, and which loss teaches it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Kind = Literal["question", "statement", "memory", "use", "namesake", "short", "long", "text", "forget"]
LEARNED: tuple[Kind, ...] = ("question", "statement", "memory", "use")  # cross-entropy on the target
GENERAL: tuple[Kind, ...] = ("short", "long", "text")  # about everything else
UNTAUGHT: tuple[Kind, ...] = ("namesake", *GENERAL, "forget")  # rows that teach no answer

SCHEMA = pa.schema(
    [
        ("row_id", pa.string()),
        ("kind", pa.string()),
        ("episode_id", pa.string()),
        ("form", pa.string()),
        ("split", pa.string()),
        ("prompt", pa.string()),
        ("target", pa.string()),
        ("teacher_asked", pa.bool_()),
        ("teacher_right", pa.bool_()),
        ("top_ids", pa.list_(pa.list_(pa.int32()))),
        ("top_log_probs", pa.list_(pa.list_(pa.float32()))),
    ]
)


@dataclass(frozen=True)
class TrainingRow:
    """What one forward pass learns from.

    Attributes:
        row_id: Unique in the table.
        kind: What the row is for; decides the loss.
        episode_id: The replayed episode, empty for general rehearsal.
        form: The phrasing.
        split: ``train``, or ``probe`` for rows that only decide early stopping.
        prompt: Rendered string, special tokens included, no loss.
        target: Continuation, its end token included.
        teacher_asked: Whether the memory-ON teacher was asked this question.
        teacher_right: Whether it answered rightly; only then does it teach.
        top_ids: Per target token, the teacher's most likely token ids (T, k).
        top_log_probs: Their log-probabilities in nats (T, k).
    """

    row_id: str
    kind: Kind
    episode_id: str
    form: str
    split: str
    prompt: str
    target: str
    teacher_asked: bool = False
    teacher_right: bool = False
    top_ids: tuple[tuple[int, ...], ...] = ()
    top_log_probs: tuple[tuple[float, ...], ...] = ()


def rows_table(rows: Sequence[TrainingRow]) -> pa.Table:
    """Training rows as an Arrow table (schema ``targets/1``)."""
    return pa.Table.from_pylist([vars(row) for row in rows], schema=SCHEMA)


def table_rows(table: pa.Table) -> list[TrainingRow]:
    """The inverse of :func:`rows_table`."""
    rows = []
    for record in table.to_pylist():
        record["top_ids"] = tuple(tuple(ids) for ids in record["top_ids"])
        record["top_log_probs"] = tuple(tuple(values) for values in record["top_log_probs"])
        rows.append(TrainingRow(**record))
    return rows
