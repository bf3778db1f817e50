"""``engram results``: finished runs as one page of tables, plots and commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.terminal import Console


def results(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER", help="Folders with runs anywhere below them; more are one page.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where results.md goes.")] = Path("docs"),
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Groups, figures and bars.", show_default="configs/results.yaml"),
    ] = None,
) -> None:
    """Write a page of results: every figure over seeds beside its bar, with the commands that repeat it.

    Reads report.json of every run, config.yaml (its settings) and lora_train/steps.parquet (its learning curve) beside
    it, the sweep.csv of sweeps, and what `engram bench NAME --json > bench-NAME.json` printed. The same runs give the
    same files. Figures that are short of their bars are results: the status is 0.
    """
    from pipeline.config import config_root
    from pipeline.config.results import load_results
    from pipeline.errors import DataError
    from pipeline.results.commits import commits_of
    from pipeline.results.judging import ABSENT, judge
    from pipeline.results.page import cells
    from pipeline.results.reading import find
    from pipeline.results.write import write_results

    console = Console()
    wanted = load_results(config)
    with console.status("reading reports"):
        found = find(folders)
        if not found.runs and not found.unfinished:
            raise DataError(f"{', '.join(map(str, folders))}: expected runs with report.json below, found none")
        judged = judge(found, wanted)
        commits = commits_of({run.report.code_version for run in found.runs}, config_root().parent)
    with console.status("writing"):
        files = write_results(judged, out, commits)
    for row in judged.rows:
        if row.verdict != ABSENT:
            title, bar, _, mean, half, _, verdict = cells(row)
            told = f"{row.config.group:<13} {title:<48} {bar:<15} {mean:>8} {half:<9} {verdict.replace('*', '')}"
            console.print(told, markup=False, highlight=False, soft_wrap=True)
    absent = sum(row.verdict == ABSENT for row in judged.rows)
    console.print(f"{len(found.runs)} runs and nights; {absent} of {len(judged.rows)} figures were not measured")
    for file, reason in found.unreadable:
        console.print(f"unreadable: {file}: {reason}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"results  {files[0]}", soft_wrap=True, highlight=False)
