"""Text of other people on a terminal and in reports: shown, never obeyed.

A fact may hold escape sequences that move the cursor, change the window's title or reach the clipboard, and marks that
turn the direction of a line. They are shown as what they are, such as ``\\x1b``; what rich itself writes is untouched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.errors import MarkupError
from rich.segment import Segment
from rich.text import Text

_HIDDEN = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"} | {
    code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


def visible(text: str) -> str:
    """The text with control characters and marks of direction spelled out; line ends and tabs stay."""
    return text if text.isprintable() else text.translate(_HIDDEN)


class Console(RichConsole):
    """rich's console, on which no text from outside can control the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Read markup as rich does; brackets that are none, of a path for example, are text."""
        shown = visible(text)  # before anything is measured
        try:
            return super().render_str(shown, **options)
        except MarkupError:
            return super().render_str(shown, **{**options, "markup": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does, every text made `visible`."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))
