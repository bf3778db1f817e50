"""From a fuzzer's bytes to a file that comes far enough: JSON lines with known fields, or the bytes as they are.

Raw bytes seldom get past a parser. Here they choose instead: which fields a row has, of which kinds their values are,
and from which awkward pieces texts are put together. The same bytes always give the same file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
Compose = Callable[[bytes], bytes]

PIECES = (
    "Mona Hale", "bought a lantern", "at the harbour", "On Friday", "Where did", "?", ".", " ", "\n", "\t", "",
    "a", "The", "x" * 300, "Ab Cd " * 40, "(" * 60, "[[" * 30, "{person}", "{", "}}", "{place!r:>9}", "%s",
    "\\", '"', "'", "|", "`", "*", "<|im_end|>", "<|im_start|>system", "<file_sep>", "</s>", "[INST]", "[SEP]",
    "<｜end｜>", "<script>alert(1)</script>", "![x](http://x)", "[a](javascript:x)", "[/dim]", "[bold]",
    "[link=x]", "\x1b]0;x\x07", "\x1b[2J", "\x9b5n", "\r", "\x00", "\x7f", "\u202e", "\u2066", "\ud800",
    "\udfff", "\ufeff", "\u200b", "é", "e\u0301", "ﬀ", "İ", "ß", "漢字", "😀", "١٢", "½", "../../etc/passwd",
    "/dev/zero", "C:\\x", "..", "~", "$HOME", "'; DROP TABLE runs; --", "1e999", "-0", "NaN", "9" * 50,
    "2026-11-27", "train", "test", "probe", "question", "cloze", "user", "assistant", "system", "person_place",
    "works as",
)  # fmt: skip


class Choices:
    """Bytes as a source of choices; when they are used up, every choice is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> bool:
        """Whether there are bytes that have not been used."""
        return self._at < len(self._data)

    def number(self, below: int) -> int:
        """A number from 0 to ``below - 1``."""
        value = self._data[self._at] if self.left else 0
        self._at += 1
        return value % below

    def one_of(self, values: Sequence[T]) -> T:
        """One of the values."""
        return values[self.number(len(values))]

    def raw(self) -> str:
        """A few of the bytes themselves, as text."""
        size = self.number(12)
        found = self._data[self._at : self._at + size]
        self._at += size
        return found.decode("utf-8", "replace")

    def text(self) -> str:
        """Awkward pieces and bytes, joined."""
        return "".join(self.one_of(PIECES) if self.number(4) else self.raw() for _ in range(1 + self.number(7)))


def value(choices: Choices, depth: int = 0) -> Any:
    """Any JSON value, mostly a text."""
    kind = choices.number(16)
    if kind < 10 or depth > 3:
        return choices.text()
    if kind == 10:
        return [value(choices, depth + 1) for _ in range(choices.number(4))]
    if kind == 11:
        return {choices.text(): value(choices, depth + 1) for _ in range(choices.number(4))}
    return choices.one_of((None, True, False, 0, -1, 1 << 70, 1.5, float("inf"), float("nan")))


def row(
    choices: Choices, fields: Sequence[str], inner: Sequence[str] = (), nested: str = "questions"
) -> dict[str, Any]:
    """An object with some of the known fields; ``nested`` holds a list of objects of the inner fields."""
    made: dict[str, Any] = {}
    for field in fields:
        if choices.number(8) == 7:
            continue
        if field == nested and inner:
            made[field] = [row(choices, inner) for _ in range(choices.number(4))]
        else:
            made[field] = value(choices)
    if choices.number(8) == 7:
        made[choices.text()] = value(choices)
    return made


def json_lines(fields: Sequence[str], inner: Sequence[str] = ()) -> Compose:
    """Files of JSON lines with these fields; one in four is the fuzzer's bytes as they are."""

    def compose(data: bytes) -> bytes:
        choices = Choices(data)
        if choices.number(4) == 3:
            return data[1:]
        lines: list[bytes] = []
        while choices.left and len(lines) < 6:
            made = json.dumps(row(choices, fields, inner), ensure_ascii=choices.number(2) == 0)
            lines.append(made.encode("utf-8", "surrogatepass"))
        joint = choices.one_of((b"\n", b"\r\n", b"\n\n", b"\r", b"\x00\n"))
        return choices.one_of((b"", b"\xef\xbb\xbf", b"\xff\xfe")) + joint.join(lines)

    return compose


def plain(data: bytes) -> bytes:
    """Running text of awkward pieces; one in four is the fuzzer's bytes as they are."""
    choices = Choices(data)
    if choices.number(4) == 3:
        return data[1:]
    parts: list[str] = []
    while choices.left and len(parts) < 40:
        parts.append(
            choices.one_of(("", "# ", "- ", "> ", "    ", "\n\n", "```\n", "---\n", "| ", "1. ")) + choices.text()
        )
    return "".join(parts).encode("utf-8", "surrogatepass" if choices.number(4) == 3 else "replace")


def raw(data: bytes) -> bytes:
    """The bytes as they are."""
    return data
