"""Plain text: paragraphs between blank lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.reading.passage import Block, Passage, passages_of, read_text


def paragraphs(text: str) -> Iterator[Block]:
    """Runs of lines that hold something."""
    lines: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line.strip():
            lines.append(line)
        elif lines:
            yield Block("\n".join(lines), number - len(lines), number - 1)
            lines = []


def read_plain_text(path: Path, name: str) -> list[Passage]:
    """The passages of a text file.

    Raises:
        DataError: The file is unreadable or binary; the message names the line.
    """
    return list(passages_of(name, paragraphs(read_text(path))))
