"""``engram run``: one night in this process, or handed to the workers."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pipeline.cli.failures import GUARD_FAILED
from pipeline.cli.summaries import show_report, view_of
from pipeline.terminal import Console

if TYPE_CHECKING:
    from pipeline.artifacts import RunFolder
    from pipeline.config import FlowConfig
    from pipeline.progress import Quiet, Terminal
    from pipeline.report.base import RunReport
    from pipeline.stages.night import Night

Target = Annotated[str, typer.Argument(metavar="FLOW/DEPLOYMENT", help="What to run, e.g. consolidation/episodic.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=C",
        help="Change a setting, e.g. suite.n=8 (facts) or seed=2025; repeatable, later ones win.",
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="STAGE",
        help="Run STAGE and all later ones again; earlier ones are taken over.",
        show_default=False,
    ),
]
Only = Annotated[
    str | None,
    typer.Option(
        "--only",
        metavar="STAGE",
        help="Run STAGE alone; earlier ones have to be finished, and the run can be taken up again.",
        show_default=False,
    ),
]
RunId = Annotated[
    str | None,
    typer.Option(
        "--run-id",
        metavar="ID",
        help="Name of a new run, or an unfinished one to resume.",
        show_default="newest unfinished",
    ),
]


def run(
    target: Target,
    settings: Settings = None,
    start: Start = None,
    only: Only = None,
    run_id: RunId = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would run and why, then stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the run's folder alone.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every setting first, and warnings.")] = False,
) -> None:
    """Run a flow; without --run-id the newest unfinished run of the same settings is resumed.

    All settings with their defaults and units: `engram run FLOW/DEPLOYMENT --plan --verbose`.
    """
    from pipeline.config import load_config

    console = Console(quiet=quiet)
    overrides = tuple(settings or ())
    config = load_config(target, overrides)
    if verbose:
        _show_settings(console, config)
    if plan:
        from pipeline.cli.plans import show_plan

        show_plan(Console(), config, start, only, run_id)
        return
    finished = perform(console, config, overrides, run_id=run_id, start=start, only=only, quiet=quiet)
    if only is not None:
        console.print(f"{only} is finished, and nothing follows, as asked; the same command without --only goes on")
        typer.echo(finished.stage_folder(only))
        return
    raise typer.Exit(_finish(console, finished, quiet))


def perform(
    console: Console,
    config: FlowConfig,
    overrides: tuple[str, ...],
    *,
    run_id: str | None = None,
    start: str | None = None,
    only: str | None = None,
    quiet: bool = False,
) -> RunFolder:
    """Do one run, in this process or through the workers, and return its folder; what it found is not printed.

    Args:
        console: Shows which run it is, and its progress.
        config: What the deployment and ``overrides`` make together.
        overrides: Settings such as ``suite.n=8``.
        run_id: A new run's name, or an unfinished run to take up; None chooses.
        start: Stage from which everything runs again.
        only: The one stage to run.
        quiet: Whether to show no progress.
    """
    if config.placement == "workers":
        from pipeline.cli.submission import submit

        return submit(console, config, overrides, run_id, start, only)
    from pipeline.progress import Quiet, Terminal
    from pipeline.stages.night import begin

    target, tell = f"{config.flow}/{config.deployment}", Console(stderr=True, soft_wrap=True, highlight=False).print
    with begin(target, overrides, run_id=run_id, start=start, only=only, tell=tell) as night:
        _announce(console, night)
        try:
            with Quiet() if quiet else Terminal(console) as shown:
                _flow(night.config.flow)(night, shown, only)
        except Exception as error:
            error.engram_folder = night.run.path  # type: ignore[attr-defined]  # where a traceback is saved
            raise
    return night.run


def _flow(name: str) -> Callable[[Night, Terminal | Quiet, str | None], object]:
    """The wiring of a flow; flows lie beside the package, in the repository."""
    from pipeline.services.layout import repository

    folder = str(repository())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = importlib.import_module(f"flows.{name}")
    run_inline: Callable[[Night, Terminal | Quiet, str | None], object] = module.run_inline
    return run_inline


def _announce(console: Console, night: Night) -> None:
    config = night.config
    resumed = night.run.manifest()["resumed"]
    again = f" [yellow](resumed, attempt {resumed + 1})[/yellow]" if resumed else ""
    console.print(f"[bold]{config.flow}/{config.deployment}[/bold] run [cyan]{night.run.run_id}[/cyan]{again}")
    where = f"{view_of(config.flow).about(config)}, seed {config.seed}"
    console.print(f"[dim]{where}, artifacts below {config.root}[/dim]")


def _finish(console: Console, run: RunFolder, quiet: bool) -> int:
    """Print tables, links and what to try next; returns the exit status."""
    from pipeline.report.flows import load_any_report

    report = load_any_report(run.path) if quiet else show_report(console, run)
    failed = [guard.name for guard in report.guards if not guard.passed]
    if quiet:
        typer.echo(run.path)
        return GUARD_FAILED if failed else 0
    _show_links(console, run, report)
    view_of(report.flow).next(console, run, report)
    if failed:
        told = f"guard {', '.join(failed)} failed; the champion stays as it was"
        console.print(f"[bold red]not promoted[/bold red]: {told}")
    return GUARD_FAILED if failed else 0


def _show_links(console: Console, run: RunFolder, report: RunReport) -> None:
    """Cost of the run, and where everything lies."""
    from pipeline.artifacts import stage_results

    seconds, memory = sum(report.timings.values()), report.peak_memory_bytes / 2**30
    console.print(f"stages took {seconds:.0f} s, at most {memory:.1f} GiB of memory", highlight=False)
    rows = {"report": run.path / "report.html", "figures": run.path / "report.json"}
    for name, path in rows.items():
        console.print(f"{name:<8}{path}", soft_wrap=True, highlight=False)
    tracked = stage_results(run)["report"].metrics.get("mlflow_run")
    if tracked:
        console.print(f"MLflow  run {tracked}; `engram up` shows it", soft_wrap=True, highlight=False)


def _show_settings(console: Console, config: FlowConfig) -> None:
    """Every setting with its value, unit and meaning."""
    from pipeline.config import known_keys

    table = Table("setting", "value", "meaning", title="Settings", title_justify="left")
    values = config.model_dump(mode="json")
    keys = known_keys(type(config))
    sections = {key.rpartition(".")[0] for key in keys}
    for key, field in keys.items():
        value: object = values
        for part in key.split("."):
            value = value[part] if isinstance(value, dict) else None
        if key not in sections:
            table.add_row(key, str(value), field.description or "")
    console.print(table)
