"""The commands of ``engram``, and what they share: quiet libraries, exit statuses, one clear message an error."""

from __future__ import annotations

import os
import warnings
from typing import Annotated

import typer

from pipeline.cli import (
    benchmarks,
    champions,
    forgetting,
    memory,
    mirrors,
    nights,
    repeats,
    reports,
    resources,
    results,
    schedules,
    scores,
    services,
    sweeps,
)
from pipeline.cli.failures import Guarded

QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
}
"""Environment of every command, unless the user sets the variable: no telemetry, no chatter between progress bars."""

app = typer.Typer(
    name="engram",
    cls=Guarded,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Let a language model learn overnight: experiences go into a memory by day, and into its weights by night.",
    epilog="Artifacts go below $ENGRAM_HOME (default: the current folder). "
    "Exit status: 0 done · 1 a guard failed · 2 bad input or configuration.",
)

app.command("run")(nights.run)
app.command("repeat")(repeats.repeat)
app.command("sweep")(sweeps.sweep)
app.command("teach")(memory.teach)
app.command("ask")(memory.ask)
app.command("forget")(forgetting.forget)
app.command("report")(reports.report)
app.command("compare")(reports.compare)
app.command("results")(results.results)
app.command("export")(reports.export)
app.command("push")(mirrors.push)
app.command("pull")(mirrors.pull)
app.add_typer(resources.models, name="models")
app.add_typer(resources.data, name="data")
app.command("champions")(champions.champions)
app.command("rollback")(champions.rollback)
app.add_typer(schedules.schedule, name="schedule")
app.command("up")(services.up)
app.command("down")(services.down)
app.command("status")(services.status)
app.command("bench")(benchmarks.bench)
app.command("score")(scores.score)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(version("engram"))
        except PackageNotFoundError:
            typer.echo("not installed")
        raise typer.Exit


@app.callback()
def _prepare(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore")


def main() -> None:
    """Entry point of the console script."""
    app()
