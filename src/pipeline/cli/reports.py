"""``engram report``, ``compare`` and ``export``: finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.summaries import show_report
from pipeline.terminal import Console

if TYPE_CHECKING:
    from pipeline.artifacts import RunFolder

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
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN…", help="Two or more runs, as for `engram report`; with --last, FLOW/DEPLOYMENT alone."
        ),
    ],
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also write one self-contained page with plots.", dir_okay=False),
    ] = None,
    last: Annotated[
        int | None, typer.Option("--last", min=2, help="Compare the newest N finished runs, the oldest of them first.")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="Questions to print that turned right or wrong.")] = 10,
) -> None:
    """Show what differs between runs, and only that: settings, data, figures, and which answers turned."""
    from pipeline.artifacts import find_run, write_bytes
    from pipeline.config import default_root
    from pipeline.errors import ConfigError
    from pipeline.report.compare import compare as compare_runs
    from pipeline.report.comparison_page import comparison_page
    from pipeline.report.comparison_terminal import comparison_tables
    from pipeline.stages.suite_files import question_texts_of

    root = default_root()
    if not last and len(runs) < 2:
        raise ConfigError(f"expected two or more runs to compare, found {len(runs)}")
    found = _newest(runs, last, root) if last else [find_run(run, root) for run in runs]
    if len(found) < 2:
        raise ConfigError(f"expected two or more runs to compare, found {len(found)}")
    console = Console()
    comparison = compare_runs([run.path for run in found])
    for table in comparison_tables(comparison, examples):
        console.print(table)
    if html is not None:
        questions = {key: text for run in found for key, text in question_texts_of(run).items()}
        write_bytes(html, comparison_page(comparison, questions).encode("utf-8", "replace"))
        console.print(f"page  {html.absolute()}", soft_wrap=True, highlight=False)


def _newest(targets: list[str], count: int, root: Path) -> list[RunFolder]:
    """The newest finished runs of one deployment, oldest first."""
    from pipeline.artifacts import list_runs
    from pipeline.errors import ConfigError

    flow, slash, deployment = targets[0].partition("/")
    if len(targets) != 1 or not slash or "/" in deployment:
        raise ConfigError(f"--last {count} expects one FLOW/DEPLOYMENT, found {' '.join(targets)}")
    done = [run for run in list_runs(root, flow, deployment) if run.state == "done"]
    return done[:count][::-1]


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
