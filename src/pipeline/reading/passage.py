"""A passage of a file: as much as one episode of the memory holds, and where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from pipeline.suites.control_tokens import neutral
from pipeline.suites.rows import CHAT_TOKENS, SPLIT, require_size

ENOUGH = 40
"""Words from which a passage stands alone; shorter blocks of the same section are read together."""
LARGEST = 120
"""Words of a passage at most; about half of what the sentence encoder reads."""

LONGEST_WORD = 1000
"""Characters of a word at most; a longer one is no word, and is cut."""
MAX_FILE_BYTES = 16 << 20
"""Of one file of text."""

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+")


@dataclass(frozen=True)
class Block:
    """What stands in some consecutive lines: a paragraph, a list, a table; lines are counted from 1."""

    text: str
    first: int
    last: int


@dataclass(frozen=True)
class Passage:
    """The text of one episode.

    Attributes:
        text: What is remembered, its headings before it.
        source: File, lines and headings or turns, for example ``notes/trip.md:5-7 (Trip > Harbour)``.
    """

    text: str
    source: str


def read_text(path: Path, limit: int = MAX_FILE_BYTES) -> str:
    """A UTF-8 file with line ends of one kind; a byte-order mark is dropped, control tokens are taken apart.

    Raises:
        DataError: It cannot be read, has more than ``limit`` bytes, is binary or not UTF-8, or holds a
            chat-template token; file and line are named.
    """
    content = _content(path, limit)
    if (at := content.find(b"\x00")) >= 0:
        raise DataError(
            f"{_place(path, content, at)}: holds a NUL byte, so it is binary or UTF-16; "
            "save it as UTF-8 text or move it away"
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{_place(path, content, error.start)}: byte {content[error.start]:#04x} is not UTF-8; "
            "save the file as UTF-8 or move it away"
        ) from None
    if found := re.search(CHAT_TOKENS, text):
        line = text.count("\n", 0, found.start()) + 1
        raise DataError(
            f"{path}:{line}: holds the chat-template token {found.group()!r}, which would break prompts; remove it"
        )
    return neutral(text.replace("\r\n", "\n").replace("\r", "\n"))


def _content(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            require_size(path, file, limit)
            content = file.read(limit + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); expected a UTF-8 text file") from None
    if len(content) > limit:
        raise DataError(f"{path}: expected at most {limit:,} bytes of text; {SPLIT}")
    return content.removeprefix(b"\xef\xbb\xbf")


def _place(path: Path, content: bytes, offset: int) -> str:
    before = content[:offset].count(b"\n") + 1
    return f"{path}:{before}"


def folded(text: str) -> str:
    """The text with all white space folded into single spaces."""
    return " ".join(text.split())


def pieces(text: str) -> list[str]:
    """A text in pieces of at most `LARGEST` words, cut after sentences; a longer sentence is cut between words."""
    found: list[list[str]] = [[]]
    for sentence in _SENTENCE_END.split(folded(text)):
        words = [part for word in sentence.split() for part in _cut(word)]
        if found[-1] and len(found[-1]) + len(words) > LARGEST:
            found.append([])
        for start in range(0, len(words), LARGEST):
            if start:
                found.append([])
            found[-1] += words[start : start + LARGEST]
    return [" ".join(words) for words in found if words]


def _cut(word: str) -> list[str]:
    return [word[first : first + LONGEST_WORD] for first in range(0, len(word), LONGEST_WORD)]


def gathered(blocks: Iterable[Block]) -> Iterator[Block]:
    """Blocks of one section, short ones joined with the next until there are `ENOUGH` words."""
    waiting: Block | None = None
    for block in blocks:
        if waiting is not None:
            if len(f"{waiting.text} {block.text}".split()) <= LARGEST:
                block = Block(f"{waiting.text}\n{block.text}", waiting.first, block.last)
            else:
                yield waiting
        waiting = block
        if len(block.text.split()) >= ENOUGH:
            yield block
            waiting = None
    if waiting is not None:
        yield waiting


def passages_of(name: str, blocks: Iterable[Block], headings: tuple[str, ...] = ()) -> Iterator[Passage]:
    """The passages of one section.

    Args:
        name: The file, as sources name it.
        blocks: What the section holds, in order.
        headings: The section's heading and those above it, outermost first.
    """
    path = " > ".join(headings)
    for block in gathered(blocks):
        lines = f"{block.first}-{block.last}" if block.last > block.first else f"{block.first}"
        source = f"{name}:{lines}" + (f" ({path})" if path else "")
        for piece in pieces(block.text):
            yield Passage(f"{path}: {piece}" if path else piece, source)
