"""``engram sweep``: ablations and curves, one ordinary run for every variant and seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli.failures import GUARD_FAILED
from pipeline.cli.nights import perform
from pipeline.errors import EngramError
from pipeline.terminal import Console

if TYPE_CHECKING:
    from pipeline.sessions.sweeping import AskedSweep, Point, RunPoint

INCOMPLETE = GUARD_FAILED


def sweep(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of one in configs/sweeps: ablations, …")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Change a setting of every run that its variant does not set."),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", metavar="SEEDS", help="As of `engram repeat`, e.g. 1-3.", show_default="the file's"),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="VARIANT", help="Run this variant alone; repeatable.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="Folder below $ENGRAM_HOME/sweeps.", show_default="the file's name"
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Runs at a time, spread over the GPUs there are.")] = 1,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would run and what it costs, then stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the sweep's folder alone.")] = False,
) -> None:
    """Run every variant of a sweep over its seeds, and compare them in one table and one plot.

    The same command goes on where it stopped: nothing that is finished runs twice, and what cannot finish is reported
    (exit status 1) while the others go on. Failed guards are figures here; they do not count.
    """
    from pipeline.config.sweeps import load_sweep
    from pipeline.report.sweep import EXPLANATION, sweep_table
    from pipeline.report.terminal import rich_table
    from pipeline.sessions.repeating import parse_seeds
    from pipeline.sessions.sweeping import ask_sweep
    from pipeline.sessions.sweeping import sweep as run_sweep

    console = Console(quiet=quiet)
    stem, loaded = load_sweep(config)
    asked = ask_sweep(
        name or stem, loaded, tuple(settings or ()), parse_seeds(seeds) if seeds else None, tuple(only or ())
    )
    if plan:
        _show_plan(Console(), asked)
        return
    console.print(f"[bold]{escape(loaded.title)}[/bold]: {len(asked.points)} runs")
    console.print(f"[dim]kept in {escape(str(asked.folder))}[/dim]", soft_wrap=True, highlight=False)
    gpus = visible_gpus() if jobs > 1 else []
    run_point = _in_this_process(console, quiet) if jobs == 1 else in_own_process
    found = run_sweep(
        asked, run_point, lambda line: console.print(line, markup=False, highlight=False), jobs=jobs, gpus=gpus
    )
    console.print()
    console.print(rich_table(sweep_table(found), EXPLANATION))
    for file in ("sweep.md", "sweep.csv", "sweep.svg"):
        console.print(f"{file:<10}{asked.folder / file}", soft_wrap=True, highlight=False)
    for failure in found.failures:
        console.print(f"[bold red]not finished[/bold red] {escape(failure)}", highlight=False)
    if quiet:
        typer.echo(asked.folder)
    raise typer.Exit(INCOMPLETE if found.failures else 0)


def _in_this_process(console: Console, quiet: bool) -> RunPoint:
    def run_point(point: Point, gpu: str | None) -> None:
        perform(console, point.config, point.overrides, quiet=quiet)

    return run_point


def in_own_process(point: Point, gpu: str | None) -> None:
    """Do one run as ``engram run`` in a process of its own; what it prints goes to ``sweep.log`` beside the run.

    Raises:
        EngramError: It ended with another status than 0 or 1, a failed guard.
    """
    root = point.config.root
    root.mkdir(parents=True, exist_ok=True)
    package = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", "run", point.target, "--quiet"]
    command += [part for setting in point.overrides for part in ("--set", setting)]
    with (root / "sweep.log").open("w") as log:
        status = subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    if status not in (0, GUARD_FAILED):
        lines = [line for line in (root / "sweep.log").read_text(errors="replace").splitlines() if line.strip()]
        raise EngramError(lines[-1].removeprefix("error: ") if lines else f"exit status {status}")


def visible_gpus() -> list[str]:
    """Numbers of the GPUs that this process may use."""
    if (told := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [number.strip() for number in told.split(",") if number.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def _show_plan(console: Console, asked: AskedSweep) -> None:
    """One row a run; seconds are told once a run of the sweep is finished, by the tokens of the others."""
    from pipeline.artifacts import resumable
    from pipeline.report.figures import NOT_MEASURED, duration

    pace = asked.seconds_per_token()
    table = Table("variant", "seed", "would", "settings", title=f"Sweep {asked.name}", title_justify="left")
    table.add_column("tokens, at most", justify="right")
    table.add_column("time", justify="right")
    open_points = []
    for point in asked.points:
        if point.finished is not None:
            table.add_row(point.variant, str(point.seed), "[green]be reused[/green]", "", "", "")
            continue
        open_points.append(point)
        changed = asked.config.variants[point.variant].settings
        told = ", ".join(f"{key}={value}" for key, value in changed.items()) or "as they are"
        seconds = NOT_MEASURED if pace is None else duration(pace * point.tokens)
        would = "be resumed" if resumable(point.config) else "run"
        table.add_row(point.variant, str(point.seed), would, escape(told), f"{point.tokens:,}", seconds)
    console.print(table)
    tokens = sum(point.tokens for point in open_points)
    cost = f"{len(open_points)} runs to do, about {tokens:,} trained tokens at most"
    if pace is not None and open_points:
        cost += f", {duration(pace * tokens)} one after the other at the pace of the finished runs"
    console.print(cost, highlight=False)
    console.print(f"kept in {asked.folder}", soft_wrap=True, highlight=False)
