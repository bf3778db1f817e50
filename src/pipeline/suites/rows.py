"""JSON lines from a user, read strictly: every fault is named by file, line, field and reason."""

from __future__ import annotations

import difflib
import json
import os
import re
import reprlib
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from pipeline.errors import DataError
from pipeline.suites.control_tokens import neutral

MAX_FILE_BYTES = 128 << 20
"""Of one file of JSON lines; a larger one is refused before it is read, a stream as soon as it exceeds this."""
MAX_LINE_BYTES = 1 << 20
MAX_ROWS = 1_000_000
"""Rows of one file, as many as the largest store that was tried."""
MAX_TEXT = 1 << 16
"""Characters of one text; no model here reads as much at once."""
MAX_NAME = 200
"""Characters of an id."""
MAX_ITEMS = 1000
"""Entries of one list, and fields of one object."""
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
        if len(self.values) > MAX_ITEMS:
            self.fail(next(iter(self.values)), f"stands in an object of {len(self.values)} fields, at most {MAX_ITEMS}")
        for field in (name for name in self.values if len(name) <= 2 * max(map(len, known))):
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
        if len(value) > MAX_TEXT:
            self.fail(field, f"has {len(value)} characters; expected at most {MAX_TEXT}. Split it over several rows")
        return neutral(value.strip())

    def text(self, field: str) -> str:
        """A required, non-empty string, stripped; control tokens of other templates than ChatML are taken apart.

        Raises:
            DataError: It is missing, no string, empty, or holds a chat-template token.
        """
        if field not in self.values:
            self.fail(field, "is missing; expected a string")
        return self._checked(field, self.values[field])

    def identifier(self, field: str) -> str:
        """A required string of one short line, fit to be a name in tables and messages."""
        value = self.text(field)
        if len(value) > MAX_NAME or not value.isprintable():
            self.fail(field, f"expected at most {MAX_NAME} printable characters on one line, found {shortened(value)}")
        return value

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
        if len(value) > MAX_ITEMS:
            self.fail(field, f"has {len(value)} entries; expected at most {MAX_ITEMS}. Split it over several rows")
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
            self.fail(field, f"expected one of {', '.join(known)}, found {shortened(value)}")
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


def shortened(value: object) -> str:
    """How a value is shown in a message: on one line, and never long."""
    return _REPR.repr(value)


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 120


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {shortened(twice)} stands twice in one object")
    return values


def read_rows(path: Path, forbidden: str = CHAT_TOKENS) -> list[Row]:
    """All rows of `each_row`, which is for those who need one at a time."""
    return list(each_row(path, forbidden))


def each_row(path: Path, forbidden: str = CHAT_TOKENS) -> Iterator[Row]:
    """Read a file of JSON lines row by row; a byte-order mark, CRLF and blank lines are accepted.

    Args:
        path: A UTF-8 file with one JSON object a line: at most `MAX_LINE_BYTES` a line, `MAX_FILE_BYTES` in all and
            `MAX_ROWS` rows. Never more than one line of it is in memory. A pipe will do.
        forbidden: Regular expression that no text of a row may match.

    Raises:
        DataError: The file is missing, unreadable, empty or too large, or a line is over-long, not UTF-8, or no JSON
            object.
    """
    rows = 0
    for number, line in _lines(path):
        if not line.strip():
            continue
        rows += 1
        if rows > MAX_ROWS:
            raise DataError(f"{path}:{number}: expected at most {MAX_ROWS:,} rows; {SPLIT}")
        yield _row(path, number, line, forbidden)
    if not rows:
        raise DataError(f"{path}: is empty; expected at least one JSON object, one a line")


SPLIT = "split the file and take in its parts one by one: what is known already is reused"


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines without their ends, the byte-order mark left out."""
    try:
        with path.open("rb") as file:
            require_size(path, file, MAX_FILE_BYTES)
            taken = 0
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 2), b""), start=1):
                taken += len(line)
                if taken > MAX_FILE_BYTES:
                    raise DataError(f"{path}:{number}: expected at most {MAX_FILE_BYTES:,} bytes in all; {SPLIT}")
                line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if len(line.removesuffix(b"\n")) > MAX_LINE_BYTES:
                    raise DataError(
                        f"{path}:{number}: expected at most {MAX_LINE_BYTES} bytes a line, found more. Split the row."
                    )
                yield number, line.removesuffix(b"\n")
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = "is a folder" if isinstance(error, IsADirectoryError) else getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({reason}); expected a file of JSON lines") from None


def require_size(path: Path, file: BinaryIO, limit: int) -> None:
    """Refuse a file that says itself that it is too large.

    Raises:
        DataError: With its size and the limit.
    """
    found = os.fstat(file.fileno())
    if stat.S_ISREG(found.st_mode) and found.st_size > limit:
        raise DataError(f"{path}: has {found.st_size:,} bytes; expected at most {limit:,}: {SPLIT}")


def _row(path: Path, number: int, line: bytes, forbidden: str) -> Row:
    where = f"{path}:{number}"
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
