"""Chat logs: JSON lines of ``role`` and ``content``; what is said and what is replied to it is one exchange.

    {"role": "user", "content": "Where did I park?"}
    {"role": "assistant", "content": "At the harbour."}

Turns of the role ``system`` count as turns and are no experience.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.reading.passage import Passage, folded, pieces
from pipeline.suites.rows import Row, each_row

ROLES = ("user", "assistant", "system")


def read_chat(path: Path, name: str) -> list[Passage]:
    """The passages of a chat log: one an exchange, more where it is long.

    Raises:
        DataError: A row is no turn; the message names file, line and field.
    """
    exchanges: list[list[tuple[int, Row]]] = []
    last = "system"
    for turn, row in enumerate(each_row(path), start=1):
        row.check_fields(("role", "content"))
        if "role" not in row.values:
            row.fail("role", "is missing; a chat log has role and content. Teach a file of facts by itself")
        role, _ = row.choice("role", ROLES, ""), row.text("content")
        if role == "system":
            continue
        if (last != "user" and role == "user") or not exchanges:
            exchanges.append([])
        exchanges[-1].append((turn, row))
        last = role
    return [passage for exchange in exchanges for passage in _passages(name, exchange)]


def _passages(name: str, exchange: list[tuple[int, Row]]) -> list[Passage]:
    (first, opening), (last, closing) = exchange[0], exchange[-1]
    said = " ".join(f"{row.text('role').capitalize()}: {folded(row.text('content'))}" for _, row in exchange)
    lines = f"{opening.line}-{closing.line}" if closing.line > opening.line else f"{opening.line}"
    turns = f"turns {first}-{last}" if last > first else f"turn {first}"
    return [Passage(piece, f"{name}:{lines} ({turns})") for piece in pieces(said)]
