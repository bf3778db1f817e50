"""A folder, or one file, read whole before anything is made of it: which files were taken, and the passages of each."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pipeline.errors import DataError
from pipeline.reading.chat import read_chat
from pipeline.reading.markdown import read_markdown
from pipeline.reading.passage import Passage
from pipeline.reading.plain_text import read_plain_text
from pipeline.suites.control_tokens import neutral
from pipeline.suites.rows import each_row
from pipeline.suites.types import Fact

Reader = Callable[[Path, str], list[Passage]]
MAX_FILES = 20_000
MAX_BYTES = 128 << 20
"""Of all files of a folder together."""
SPLIT_FOLDER = "teach its folders one by one"
READERS: dict[str, tuple[str, Reader]] = {
    ".md": ("Markdown", read_markdown),
    ".markdown": ("Markdown", read_markdown),
    ".txt": ("text", read_plain_text),
    ".text": ("text", read_plain_text),
    ".jsonl": ("chat log", read_chat),
}
"""What reads a file, by its suffix."""


@dataclass(frozen=True)
class SourceFile:
    """What became of one file.

    Attributes:
        name: Relative to the folder.
        kind: Markdown, text or chat log; empty for a file that is left out.
        passages: Those that are new.
        repeated: How many stood word for word in an earlier file, or earlier in this one.
        why: Why it is left out, where that is not its name.
    """

    name: str
    kind: str
    passages: tuple[Passage, ...] = ()
    repeated: int = 0
    why: str = ""


@dataclass(frozen=True)
class Reading:
    """All files of a folder, in the order of their names."""

    files: tuple[SourceFile, ...]

    @property
    def passages(self) -> tuple[Passage, ...]:
        """Every passage, each once."""
        return tuple(passage for file in self.files for passage in file.passages)


def is_readable(path: Path) -> bool:
    """Whether `read_path` takes it: a folder, a Markdown or text file, or JSON lines whose first row has a role."""
    if path.is_dir():
        return True
    suffix = path.suffix.lower()
    if suffix not in READERS or not path.is_file():
        return False
    if suffix != ".jsonl":
        return True
    first = next(each_row(path)).values
    return "role" in first and "id" not in first


def read_path(path: Path) -> Reading:
    """Read a folder with everything below it, or one file; hidden files and folders are left out.

    So is what a folder only points to: links that lead out of it, and pipes or devices.

    Args:
        path: A folder, or a file that `is_readable`.

    Raises:
        DataError: A file cannot be read, is binary or holds a bad row, there is nothing to take, or there is more than
            `MAX_FILES` files or `MAX_BYTES` of text.
    """
    taken: dict[str, None] = {}
    files: list[SourceFile] = []
    left = MAX_BYTES
    for file, name in _files(path):
        kind, reader = READERS.get(file.suffix.lower(), ("", None))
        if reader and path.is_dir() and (why := _outside(file, path)):
            files.append(SourceFile(name, "", why=why))
            continue
        left -= file.stat().st_size if reader and path.is_dir() else 0
        if left < 0:
            raise DataError(f"{path}: expected at most {MAX_BYTES:,} bytes of text in all; {SPLIT_FOLDER}")
        found = reader(file, name) if reader else []
        fresh = [passage for passage in found if passage.text not in taken]
        fresh = list({passage.text: passage for passage in reversed(fresh)}.values())[::-1]  # the first of equal ones
        taken |= dict.fromkeys(passage.text for passage in fresh)
        files.append(SourceFile(name, kind, tuple(fresh), len(found) - len(fresh)))
    if not taken:
        raise DataError(
            f"{path}: expected text in files named {', '.join('*' + suffix for suffix in READERS)}, found none"
        )
    return Reading(tuple(files))


def _outside(file: Path, folder: Path) -> str:
    """Why a file is none of the folder's own; empty for one that is."""
    try:
        real = file.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: links that lead in circles
        return "a link to nothing"
    if not real.is_relative_to(folder.resolve()):
        return "a link out of the folder"
    return "" if real.is_file() else "no ordinary file"


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    """Files with their names, sorted by name."""
    if not path.is_dir():
        yield path, storable(path.name)
        return
    found = []
    for folder, folders, names in os.walk(path, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder) / name for name in names if not name.startswith(".")]
        if len(found) > MAX_FILES:
            raise DataError(f"{path}: expected at most {MAX_FILES:,} files; {SPLIT_FOLDER}")
    for file in sorted(found, key=lambda file: file.relative_to(path).as_posix()):
        yield file, storable(file.relative_to(path).as_posix())


def storable(name: str) -> str:
    """A file's name as a source can keep it: UTF-8 without control tokens."""
    return neutral(os.fsencode(name).decode("utf-8", "replace"))


def _unreadable(error: OSError) -> NoReturn:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror or error}); make the folder readable") from None


def facts_of(passages: Sequence[Passage], session: str) -> list[Fact]:
    """Passages as facts of a session; what says the same has the same id, wherever it stands."""
    return [Fact(id=identity_of(passage.text), text=passage.text, session=session) for passage in passages]


def identity_of(text: str) -> str:
    """The id of a passage: the first 16 hex digits of the SHA-256 of its text."""
    return f"passage-{hashlib.sha256(text.encode('utf-8')).hexdigest()[:16]}"
