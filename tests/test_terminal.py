"""Text from outside on a terminal: shown, never obeyed."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from pipeline.terminal import Console, visible


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    shown = visible(text)
    assert not any(
        (ord(c) < 32 and c not in "\n\r\t") or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E for c in shown
    )
    assert visible(shown) == shown


def printed(*things: object, colour: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=200, force_terminal=colour, color_system="standard" if colour else None)
    for thing in things:
        console.print(thing, highlight=False)
    return stream.getvalue()


def test_escape_sequences_are_spelled_out_in_lines_and_tables() -> None:
    table = Table("id", title="t\x1b]0;title\x07")
    table.add_row("a\x1b[2J\x9b5n")
    shown = printed("x\x1b]52;c;aGk=\x07\u202ey", table)
    assert "\x1b" not in shown and "\x07" not in shown and "\x9b" not in shown and "\u202e" not in shown
    assert r"x\x1b]52;c;aGk=" in shown and r"a\x1b[2J" in shown


def test_our_own_colours_stay() -> None:
    shown = printed("[bold]ours[/bold] \x1b[31mtheirs", colour=True)
    assert "\x1b[1mours" in shown and r"\x1b[31mtheirs" in shown


def test_brackets_that_are_no_markup_are_text() -> None:
    table = Table("id")
    table.add_row("x[/y]z")
    assert "a[/b]c" in printed("a[/b]c", table) and "x[/y]z" in printed(table)
