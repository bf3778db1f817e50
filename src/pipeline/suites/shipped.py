"""Data files that the product ships as JSON lines: read, checked field by field, and hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import DataError

DATA = Path(__file__).parent / "data"
REPAIR = "install the package again"


def shipped_bytes(path: Path) -> bytes:
    """The content of a shipped file.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the shipped file {path}: {error.strerror}; {REPAIR}") from error


def shipped_rows(data: bytes, path: Path, fields: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a JSON-lines file, each with its place (``file:line``) for error messages.

    Args:
        data: Content of the file.
        path: Named in messages.
        fields: The exact keys that every row must have.

    Raises:
        DataError: Not UTF-8, or a line that is no JSON object with exactly these keys.
    """
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8, byte {error.start} is not; {REPAIR}") from error
    expected = set(fields)
    for number, line in enumerate(lines, start=1):
        if not line and number == len(lines):
            return
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{place}: expected one JSON object a line, found: {error.msg}; {REPAIR}") from error
        if not isinstance(row, dict):
            raise DataError(f"{place}: expected a JSON object, found {type(row).__name__}; {REPAIR}")
        if wrong := sorted(set(row) ^ expected):
            raise DataError(f"{place}: expected exactly {', '.join(sorted(expected))}; wrong: {', '.join(wrong)}")
        yield place, row


def check_digest(contents: Iterable[bytes], expected: str, what: str) -> None:
    """Compare the SHA-256 over some contents, in order, with the fixed one.

    Raises:
        DataError: They differ; the message names both.
    """
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    if digest.hexdigest() != expected:
        raise DataError(
            f"{what}: SHA-256 is {digest.hexdigest()}, expected {expected}; "
            f"these texts are fixed before any training: {REPAIR}"
        )
