"""Take one item out of files that are published already: its rows go, and what else tells its text is blanked.

    rules = Redaction("f1", phrases=("Mona Hale bought a lantern.",), words=("lantern",))
    redact_file(path, rules)         # True when the file had to be rewritten; atomically, and harmless to repeat

Manifests that list a rewritten file are the caller's to publish again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.artifacts.atomic import replacing, write_bytes
from pipeline.artifacts.sealed import sealed_again
from pipeline.errors import ArtifactError

BLANK = "[forgotten]"
"""Stands where text was taken out."""
TEXT_FILES = frozenset({".json", ".jsonl", ".txt", ".md", ".html", ".yaml", ".log", ".csv"})
_ID_COLUMNS = ("episode_id", "item_id", "id")
_ROW_ID = "row_id"  # of training rows: the item, a slash and more, whoever else the row is about
_GAP = r"(?:\s|\\n|\\t)+"


@dataclass(frozen=True)
class Redaction:
    """What is to go.

    Attributes:
        item: Rows with this id are dropped; None drops no row.
        phrases: Texts of the item.
        words: Names and answers that no other item tells.
    """

    item: str | None
    phrases: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        """Every phrase and word, as it stands or as JSON writes it, any case and white space, as whole words."""
        wanted = {" ".join(text.split()) for text in (*self.phrases, *self.words)} - {""}
        spelled = {form for text in wanted for form in (text, *_as_json(text))}
        if not spelled:
            return None
        parts = [_GAP.join(map(re.escape, text.split())) for text in sorted(spelled, key=len, reverse=True)]
        return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)", re.IGNORECASE)

    def found_in(self, text: str) -> bool:
        """Whether the text tells something that is to go."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def text(self, text: str) -> str:
        """The text without what is to go."""
        return text if self._pattern is None else self._pattern.sub(BLANK, text)

    def value(self, value: Any) -> Any:
        """A JSON value without what is to go; keys stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.value(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(part) for part in value]
        return value

    def table(self, table: pa.Table) -> pa.Table:
        """The table without the item's rows, other rows without its text; the same object where nothing changed."""
        kept = table if self.item is None else self._without_rows(table)
        for index, column in enumerate(kept.schema):
            if not _holds_text(column.type):
                continue
            values = kept.column(index).to_pylist()
            told = [self.value(value) for value in values]
            if told != values:
                kept = kept.set_column(index, column, pa.array(told, column.type))
        return kept

    def _without_rows(self, table: pa.Table) -> pa.Table:
        gone = [False] * table.num_rows
        for name in (*_ID_COLUMNS, _ROW_ID):
            if name in table.column_names and pa.types.is_string(table.schema.field(name).type):
                values = table.column(name).to_pylist()
                gone = [was or self._is_mine(name, value) for was, value in zip(gone, values, strict=True)]
        return table.filter(pa.array([not flag for flag in gone], pa.bool_())) if any(gone) else table

    def _is_mine(self, column: str, value: str | None) -> bool:
        if column == _ROW_ID:
            return value is not None and value.startswith(f"{self.item}/")
        return value == self.item


def _as_json(text: str) -> tuple[str, ...]:
    """The text inside a JSON string, once and twice over, with and without characters beyond ASCII."""
    once = [json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True)]
    twice = [json.dumps(part, ensure_ascii=ascii_only)[1:-1] for part in once for ascii_only in (False, True)]
    return (*once, *twice)


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _holds_text(kind.value_type)
    if pa.types.is_struct(kind):
        return any(_holds_text(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def redact_file(path: Path, rules: Redaction) -> bool:
    """Rewrite a file without what is to go; False when it held nothing, or is of a kind that holds no text.

    Raises:
        ArtifactError: It cannot be read or written.
    """
    if path.suffix == ".parquet":
        return _redact_table(path, rules)
    if path.suffix not in TEXT_FILES:
        return False
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: cannot be read, so nothing can be taken out of it ({error})") from None
    told = rules.text(text)
    if told != text:
        write_bytes(path, (sealed_again(told) if path.suffix == ".json" else told).encode())
    return told != text


def _redact_table(path: Path, rules: Redaction) -> bool:
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(f"{path}: cannot be read, so nothing can be taken out of it ({error})") from None
    kept = rules.table(table)
    if kept is table:
        return False
    with replacing(path) as stream:
        pq.write_table(kept, stream, compression="zstd")
    return True


def tells(path: Path, rules: Redaction) -> bool:
    """Whether a file still holds a row or a text that is to go."""
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            table = file.read()
        return rules.table(table) is not table
    return path.suffix in TEXT_FILES and rules.found_in(path.read_bytes().decode(errors="replace"))
