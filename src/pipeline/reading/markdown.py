"""Markdown: paragraphs, lists, tables and code under the path of their headings, as markdown-it parses CommonMark."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipeline.reading.passage import Block, Passage, folded, passages_of, read_text

MAX_FILE_BYTES = 1 << 20
"""Of one file of Markdown; the parser takes half a minute for the worst one of this size, and thrice that for two."""

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")


def plain(inline: Token) -> str:
    """The words of a line of Markdown: links by their text, images by their description, no markup."""
    parts = []
    for child in inline.children or ():
        if child.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif child.type != "html_inline":
            parts.append(child.content)
    return folded("".join(parts))


def _told(tokens: Sequence[Token]) -> str:
    """The text of one top-level block; items, rows and cells are set apart."""
    opening = tokens[0].type
    if opening in ("fence", "code_block"):
        return tokens[0].content.strip()
    if opening == "html_block":  # markup and comments
        return ""
    if opening == "table_open":
        rows: list[list[str]] = []
        for token in tokens:
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                rows[-1].append(plain(token))
        return "; ".join(", ".join(cell for cell in row if cell) for row in rows)
    joint = "; " if opening in ("bullet_list_open", "ordered_list_open") else " "
    return joint.join(text for token in tokens if token.type == "inline" and (text := plain(token)))


def _top_level(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The tokens of every block that stands in no other."""
    block: list[Token] = []
    depth = 0
    for token in tokens:
        block.append(token)
        depth += token.nesting
        if depth == 0:
            yield block
            block = []


def sections(text: str) -> Iterator[tuple[tuple[str, ...], list[Block]]]:
    """The path of headings and the blocks of every section, in order; front matter is left out."""
    matter = _FRONT_MATTER.match(text)
    skipped = matter.group().count("\n") if matter else 0
    body = text[matter.end() :] if matter else text
    tokens, lines = MarkdownIt("commonmark").enable("table").parse(body), body.split("\n")
    path: list[tuple[int, str]] = []
    blocks: list[Block] = []
    for group in _top_level(tokens):
        if group[0].type == "heading_open":
            yield tuple(title for _, title in path), blocks
            level, blocks = int(group[0].tag[1:]), []
            path = [(depth, title) for depth, title in path if depth < level]
            path += [(level, title)] if (title := plain(group[1])) else []
        elif group[0].map is not None and (told := _told(group)):
            first, last = group[0].map  # counted from 0, the last one exclusive; a list's may be blank
            filled = [number for number in range(first, last) if lines[number].strip()]
            blocks.append(Block(told, skipped + filled[0] + 1, skipped + filled[-1] + 1))
    yield tuple(title for _, title in path), blocks


def read_markdown(path: Path, name: str) -> list[Passage]:
    """The passages of a Markdown file.

    Raises:
        DataError: The file is unreadable or binary; the message names the line.
    """
    found = sections(read_text(path, MAX_FILE_BYTES))
    return [passage for headings, blocks in found for passage in passages_of(name, blocks, headings)]
