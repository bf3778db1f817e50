"""``engram champions`` and ``engram rollback``: who was champion when, and the way back."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def champions() -> None:
    """Show every champion with the time of its promotion, the newest last."""
    from pipeline.config import default_root
    from pipeline.sessions.rollback import champion_history

    console = Console()
    known = champion_history(default_root())
    if not known:
        console.print("no adapter was promoted yet; start a night with [bold]engram run consolidation/episodic[/bold]")
        return
    table = Table("since", "version", "before", "why", title="Champions", title_justify="left")
    for move in known:
        table.add_row(move.at.replace("T", " "), str(move.version), str(move.previous or ""), move.why)
    console.print(table)


def rollback(
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="VERSION", help="Version to go back to.", show_default="the one before"),
    ] = None,
) -> None:
    """Make an earlier adapter the champion again; what later nights learned is due again."""
    from pipeline.config import default_root
    from pipeline.sessions.rollback import roll_back

    done = roll_back(default_root(), to)
    console = Console()
    console.print(f"champion: version {done.version}, before that {done.previous}", highlight=False)
    if done.withdrawn:
        console.print(f"due again: what runs {', '.join(done.withdrawn)} learned", highlight=False, soft_wrap=True)
