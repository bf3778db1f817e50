"""``engram schedule``: see, pause and resume what runs by itself."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

schedule = typer.Typer(no_args_is_help=True, help="Nights that start by themselves: list, pause, resume.")
Name = Annotated[str, typer.Argument(metavar="FLOW/DEPLOYMENT", help="For example consolidation/nightly.")]


@schedule.command("list")
def list_schedules() -> None:
    """Show every schedule with its time zone, whether it is paused, and its next run."""
    from pipeline.config import default_root
    from pipeline.services.schedules import rows, running_server

    table = Table("deployment", "cron", "time zone", "state", "next", title="Schedules", title_justify="left")
    for row in rows(running_server(default_root())):
        table.add_row(row.name, row.cron, row.timezone, row.state, row.following)
    console = Console()
    console.print(table)
    console.print(
        "A night that would overlap is refused. Of nights missed while the services were down, `engram up` makes up "
        "for the newest; --missed skip leaves them out.",
        highlight=False,
    )


@schedule.command("pause")
def pause(name: Name) -> None:
    """Start no more runs by schedule until `resume`, also after `engram down` and `engram up`."""
    _switch(name, active=False)


@schedule.command("resume")
def resume(name: Name) -> None:
    """Start runs by schedule again; what was missed meanwhile stays missed."""
    _switch(name, active=True)


def _switch(name: str, active: bool) -> None:
    from pipeline.config import default_root
    from pipeline.services.schedules import running_server, switch

    switch(running_server(default_root()), name, active)
    Console().print(f"{name} is {'active' if active else 'paused'}", highlight=False)
