"""``engram repeat``: one deployment over several seeds, and its figures with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from pipeline.cli.failures import GUARD_FAILED
from pipeline.cli.nights import Target, perform
from pipeline.terminal import Console

if TYPE_CHECKING:
    from pipeline.artifacts import RunFolder
    from pipeline.config import FlowConfig
    from pipeline.report.repeat import Repeat
    from pipeline.sessions.repeating import Asked


def repeat(
    target: Target,
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="SEEDS", help="One run each: 1-5, or 1,3,9, or both, as in 1-3,9.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="A.B=C",
            help="Change a setting of every run, e.g. sleep.budget=200 (images a task); repeatable, later ones win.",
        ),
    ] = None,
    figures: Annotated[
        list[str] | None,
        typer.Option(
            "--figure",
            metavar="PREFIX",
            help="Figures of report.json to state, by the start of their dotted names, e.g. accuracy.after_sleep "
            "or arms.*.em; repeatable.",
            show_default="the flow's headline figures",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Folder below $ENGRAM_HOME/repeats/FLOW/DEPLOYMENT in which the repeat is kept.",
            show_default="from the deployment and the settings",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the repeat's folder alone.")] = False,
) -> None:
    """Run a flow once a seed, and state every figure with its mean and Student's 95 % interval over seeds.

    Every seed is a run of its own, as of `engram run`. The same command goes on where it stopped: no seed runs twice.
    """
    from pipeline.sessions.repeating import ask, parse_seeds
    from pipeline.sessions.repeating import repeat as repeat_seeds

    console = Console(quiet=quiet)
    asked = ask(target, parse_seeds(seeds), tuple(settings or ()), name, tuple(figures or ()))

    def run_seed(config: FlowConfig, overrides: tuple[str, ...]) -> RunFolder:
        return perform(console, config, overrides, quiet=quiet)

    console.print(f"[bold]{asked.target}[/bold] repeat [cyan]{asked.name}[/cyan]")
    console.print(f"[dim]kept in {escape(str(asked.folder))}[/dim]", soft_wrap=True, highlight=False)
    found = repeat_seeds(asked, run_seed, lambda line: console.print(line, markup=False, highlight=False))
    _show(console, asked, found)
    if quiet:
        typer.echo(asked.folder)
    raise typer.Exit(GUARD_FAILED if found.failed else 0)


def _show(console: Console, asked: Asked, found: Repeat) -> None:
    """The table, what to know about it, where it lies, and which seeds failed a guard."""
    from pipeline.report.repeat import cautions, explanation, in_words, repeat_table
    from pipeline.report.terminal import rich_table

    console.print()
    table = rich_table(repeat_table(found), explanation(found))
    table.pad_edge = False  # two characters more for long names
    console.print(table)
    for caution in cautions(found):
        console.print(f"[yellow]warning: {escape(caution)}[/yellow]", highlight=False)
    for file in ("repeat.md", "repeat.json"):
        console.print(f"{file:<13}{asked.folder / file}", soft_wrap=True, highlight=False)
    if found.failed:
        told = "; ".join(f"seed {run.seed}: {', '.join(run.failed_guards)}" for run in found.failed)
        who = in_words([run.seed for run in found.failed])
        console.print(f"[bold red]{who} failed a guard[/bold red] ({escape(told)})", highlight=False)
