"""``engram up``, ``down`` and ``status``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from pipeline.terminal import Console


def up(
    prefect_port: Annotated[
        int, typer.Option(help="Loopback port of the Prefect server; a free one if in use.")
    ] = 4200,
    mlflow_port: Annotated[int, typer.Option(help="Loopback port of MLflow's dashboard; a free one if in use.")] = 5000,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Address of this machine to serve on. Any but loopback needs PREFECT_SERVER_API_AUTH_STRING="
            "name:password in the environment, which both servers and their clients then use.",
        ),
    ] = "127.0.0.1",
    workers: Annotated[int, typer.Option(min=1, help="Workers of pool cpu; they share the nights.")] = 1,
    gpu_workers: Annotated[
        int | None,
        typer.Option(min=1, help="Workers of pool cuda, one run each.", show_default="one a GPU, at least one"),
    ] = None,
    missed: Annotated[
        str, typer.Option(metavar="once|skip", help="Nights that a schedule missed: make up for them by one, or skip.")
    ] = "once",
    page: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="ENGRAM_PAGE_URL",
            help="Webhook that is told of nights that fail.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Start the Prefect server, the workers and MLflow's dashboard on loopback, and wait until they are healthy."""
    from pipeline.config import default_root
    from pipeline.services import stack
    from pipeline.services.workers import Asked

    if missed not in ("once", "skip"):
        raise typer.BadParameter("expected once or skip", param_hint="--missed")
    asked = Asked(workers, gpu_workers, missed, page)  # type: ignore[arg-type]
    console = Console()
    with console.status("starting the services (about a minute on two cores)"):
        stack.up(
            default_root(), lambda line: console.print(f"[dim]•[/dim] {line}"), prefect_port, mlflow_port, asked, host
        )
    _show_services(console)
    console.print("\nRun a night by the workers:  [bold]prefect deployment run consolidation/episodic --watch[/bold]")
    console.print("Stop everything:             [bold]engram down[/bold]")


def down() -> None:
    """Stop exactly what `engram up` started."""
    from pipeline.config import default_root
    from pipeline.services import stack

    console = Console()
    stopped = stack.down(default_root(), console.print)
    console.print(f"stopped {stopped} processes" if stopped else "nothing runs here")


def status() -> None:
    """Show how last night went, services and workers, the latest runs, the champion and the schedules."""
    console = Console()
    _show_last_night(console)
    _show_services(console)
    _show_runs(console)
    _show_champion(console)
    _show_schedules(console)


def _show_last_night(console: Console) -> None:
    from rich.markup import escape
    from rich.panel import Panel

    from pipeline.config import default_root
    from pipeline.services.last_night import last_night

    night = last_night(default_root())
    if night is None:
        return
    well = night.state == "running" or (night.state == "done" and night.verdict.startswith("promoted"))
    colour = "green" if well else "yellow" if night.state == "done" else "red"
    lines = [f"[bold {colour}]{escape(night.verdict)}[/bold {colour}]", f"{escape(night.name)}, {night.when}"]
    for figure in night.figures:
        change = "" if figure.before is None else f"  ({figure.value - figure.before:+.4g} against the night before)"
        lines.append(f"  {figure.title:<24}{figure.value:>8.4g}[dim]{change}[/dim]")
    if night.report is not None:
        lines.append(f"report   {escape(str(night.report))}")
    if night.next_step:
        lines.append(f"next     {escape(night.next_step)}")
    console.print(Panel("\n".join(lines), title="Last night", title_align="left", border_style=colour))


def _show_services(console: Console) -> None:
    from pipeline.config import default_root
    from pipeline.services.overview import services

    rows = services(default_root())
    if not rows:
        console.print("services: none run here; start them with [bold]engram up[/bold]")
        return
    table = Table(title="Services", title_justify="left")
    for column in ("service", "state", "address", "pid", "up", "last heard"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        colour = "green" if row.state == "healthy" else "red"
        state = f"[{colour}]{row.state}[/{colour}]"
        table.add_row(row.name, state, row.address, str(row.pid), row.up, row.heard)
    console.print(table)
    for row in rows:
        if row.note:
            console.print(f"[yellow]{row.note}[/yellow]")


def _show_runs(console: Console) -> None:
    from pipeline.config import default_root
    from pipeline.services.overview import latest_runs

    rows = latest_runs(default_root())
    if not rows:
        console.print("runs: none yet; start one with [bold]engram run consolidation/episodic[/bold]")
        return
    table = Table(title="Latest runs", title_justify="left")
    table.add_column("run", overflow="fold")
    for column in ("state", "started", "time", "promoted"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(row.name, row.state, row.started, row.took, row.promoted)
    console.print(table)


def _show_champion(console: Console) -> None:
    from pipeline.config import default_root
    from pipeline.services.overview import champion

    console.print(f"champion: {champion(default_root()) or 'none yet'}")


def _show_schedules(console: Console) -> None:
    from pipeline.config import default_root
    from pipeline.services.overview import schedules

    for line in schedules(default_root()):
        console.print(f"schedule: {line}")
