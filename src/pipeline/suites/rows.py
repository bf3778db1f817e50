"""JSON lines from a user, read strictly: every fault is named by file, line, field and reason."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pipeline.errors import DataError

MAX_LINE_BYTES = 1 << 20
CHAT_TOKENS = r"<\|[^|>]*\|>"
"""Regular expression of chat-template tokens such as ``<|im_end|>``, which no text may hold."""


@dataclass(frozen=True)
class Row:
    """One JSON object of a file, and where it stands.

    Attributes:
        path: The file.
        line: Counted from 1.
        values: The object's fields.
        forbidden: Regular expression that no text may match.
        prefix: Where inside the row the object stands, for example ``questions[0].``.
    """

    path: Path
    line: int
    values: dict[str, Any]
    forbidden: str = CHAT_TOKENS
    prefix: str = ""

    def fail(self, field: str, reason: str) -> NoReturn:
        """Raise the error of a field."""
        raise DataError(f"{self.path}:{self.line}: field {self.prefix + field!r}: {reason}")

    def check_fields(self, known: Sequence[str]) -> None:
        """Refuse a field that looks like a misspelt known one; other fields are the user's own and are ignored."""
        for field in self.values:
            near = difflib.get_close_matches(field, known, n=1, cutoff=0.75)
            if field not in known and near:
                self.fail(field, f"is unknown; did you mean {near[0]!r}?")

    def _checked(self, field: str, value: object) -> str:
        if not isinstance(value, str):
            self.fail(field, f"expected a string, found {_kind(value)}")
        if not value.strip():
            self.fail(field, "expected text, found an empty string")
        found = re.search(self.forbidden, value)
        if found:
            self.fail(field, f"holds the chat-template token {found.group()!r}, which would break prompts; remove it")
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            self.fail(field, "holds a NUL character or half of a surrogate pair, which no text file can keep")
        return value.strip()

    def text(self, field: str) -> str:
        """A required, non-empty string, stripped.

        Raises:
            DataError: It is missing, no string, empty, or holds a chat-template token.
        """
        if field not in self.values:
            self.fail(field, "is missing; expected a string")
        return self._checked(field, self.values[field])

    def optional(self, field: str) -> str | None:
        """A string that may be absent or null."""
        return None if self.values.get(field) is None else self.text(field)

    def flag(self, field: str) -> bool:
        """A boolean, false when absent."""
        value = self.values.get(field, False)
        if not isinstance(value, bool):
            self.fail(field, f"expected true or false, found {_kind(value)}")
        return value

    def items(self, field: str) -> list[Any]:
        """A list, empty when absent."""
        value = self.values.get(field, [])
        if not isinstance(value, list):
            self.fail(field, f"expected a list, found {_kind(value)}")
        return value

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of non-empty strings, empty when absent."""
        return tuple(self._checked(f"{field}[{i}]", value) for i, value in enumerate(self.items(field)))

    def rows(self, field: str) -> Iterator[Row]:
        """The objects of a list, as rows of their own."""
        for i, value in enumerate(self.items(field)):
            name = f"{field}[{i}]"
            if not isinstance(value, dict):
                self.fail(name, f"expected an object, found {_kind(value)}")
            yield Row(self.path, self.line, value, self.forbidden, f"{self.prefix}{name}.")

    def choice(self, field: str, known: Sequence[str], default: str) -> str:
        """One of a few words."""
        value = self.values.get(field, default)
        if value not in known:
            self.fail(field, f"expected one of {', '.join(known)}, found {value!r}")
        return str(value)

    def history(self) -> tuple[tuple[str, str], ...]:
        """The field ``history``: a list of [user, assistant] pairs."""
        turns = []
        for i, value in enumerate(self.items("history")):
            if not isinstance(value, list) or len(value) != 2:
                self.fail(f"history[{i}]", "expected a pair [user, assistant]")
            user, assistant = (self._checked(f"history[{i}][{j}]", text) for j, text in enumerate(value))
            turns.append((user, assistant))
        return tuple(turns)


def _kind(value: object) -> str:
    names = {
        type(None): "null",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "a string")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key {key!r} stands twice in one object")
    return dict(pairs)


def read_rows(path: Path, forbidden: str = CHAT_TOKENS) -> list[Row]:
    """Read a file of JSON lines; a byte-order mark, CRLF and blank lines are accepted.

    Args:
        path: A UTF-8 file with one JSON object a line, each at most 1 MiB.
        forbidden: Regular expression that no text of a row may match.

    Raises:
        DataError: The file is missing, unreadable or empty, or a line is over-long, not UTF-8, or no JSON object.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = "is a folder" if path.is_dir() else error.strerror or str(error)
        raise DataError(f"{path}: cannot be read ({reason}); expected a file of JSON lines") from None
    rows = [
        _row(path, number, line, forbidden)
        for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1)
        if line.strip()
    ]
    if not rows:
        raise DataError(f"{path}: is empty; expected at least one JSON object, one a line")
    return rows


def _row(path: Path, number: int, line: bytes, forbidden: str) -> Row:
    where = f"{path}:{number}"
    if len(line) > MAX_LINE_BYTES:
        raise DataError(f"{where}: the line has {len(line)} bytes; expected at most {MAX_LINE_BYTES}. Split the row.")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from None
    try:
        values = json.loads(text, object_pairs_hook=_unique_keys)
    except RecursionError:
        raise DataError(f"{where}: not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{where}: not a JSON object on one line: {error}") from None
    if not isinstance(values, dict):
        raise DataError(f"{where}: expected a JSON object, found {_kind(values)}")
    return Row(path, number, values, forbidden)
