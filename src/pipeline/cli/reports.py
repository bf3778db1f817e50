"""``engram report``, ``compare`` and ``export``: finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.summaries import show_report
from pipeline.terminal import Console

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its folder, or FLOW/DEPLOYMENT for the newest.")]


def report(run: Run) -> None:
    """Show a run's tables, and where its report lies."""
    from pipeline.artifacts import find_run
    from pipeline.config import default_root

    console = Console()
    folder = find_run(run, default_root())
    show_report(console, folder)
    console.print(f"report  {folder.path / 'report.html'}", soft_wrap=True, highlight=False)


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN…", help="Two or more runs, as for `engram report`.")],
) -> None:
    """Show what differs between runs: settings first, then figures."""
    from pipeline.artifacts import find_run
    from pipeline.config import default_root
    from pipeline.errors import ConfigError
    from pipeline.report.compare import compare as compare_runs
    from pipeline.report.compare import comparison_tables

    if len(runs) < 2:
        raise ConfigError(f"expected at least two runs to compare, found {len(runs)}")
    console = Console()
    for table in comparison_tables(compare_runs([find_run(run, default_root()).path for run in runs])):
        console.print(table)


def export(
    run: Run,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder for the model.")],
    merge: Annotated[
        bool, typer.Option("--merge/--adapter-only", help="Merge into the base in float32, or copy the adapter alone.")
    ] = True,
    slow: Annotated[
        bool, typer.Option("--slow", help="Take the slow average over nights in place of the night's own adapter.")
    ] = False,
) -> None:
    """Write the model that a run trained: base and adapter in one checkpoint, with tokenizer and prompt template.

    `transformers` alone loads the folder, and answers as the run did with the memory off.
    """
    from pipeline.artifacts import find_run
    from pipeline.config import default_root
    from pipeline.sessions.exporting import export_adapter, export_merged

    console = Console()
    found = find_run(run, default_root())
    with console.status("merging the adapter in float32" if merge else "copying the adapter"):
        written = export_merged(found, folder, slow=slow) if merge else export_adapter(found, folder, slow=slow)
    what = "merged model" if merge else "adapter"
    console.print(f"{what} in {written}", soft_wrap=True, highlight=False)
