"""``engram run --plan``: what would run, why, on what, where, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from pipeline.terminal import Console

if TYPE_CHECKING:
    from pipeline.config import FlowConfig

_COLUMNS = ("stage", "would", "why", "reads", "runs on", "takes", "known from")


def show_plan(console: Console, config: FlowConfig, start: str | None, only: str | None, run_id: str | None) -> None:
    """Print one row a stage; changes nothing.

    Args:
        console: Where to.
        config: The run's configuration.
        start: Stage from which everything would run again.
        only: The one stage that would run.
        run_id: The run that would be started or taken up.
    """
    from pipeline.stages.estimate import seconds_of
    from pipeline.stages.night import run_to_use
    from pipeline.stages.registry import plan_run, stages_of

    run = run_to_use(config, run_id, start or only)
    where = f"run {run.run_id}" if run else "a new run"
    table = Table(*_COLUMNS, title=f"{config.flow}/{config.deployment}: {where}", title_justify="left")
    stages, estimates, total, unknown = stages_of(config.flow), seconds_of(config), 0.0, False
    for stage in plan_run(run, config, start, only):
        place = stages.spec(stage.stage).pool if config.placement == "workers" else "this process"
        known = None if stage.hit else estimates.get(stage.stage)
        total += known.seconds if known else 0.0
        unknown = unknown or (known is None and not stage.hit)
        takes, source = (duration(known.seconds), known.source) if known else ("", "")
        would = "[green]be reused[/green]" if stage.hit else "run"
        table.add_row(stage.stage, would, escape(stage.reason), _inputs(stage.inputs), place, takes, source)
    console.print(table)
    console.print(f"in all about {duration(total)}{', and what is not known' if unknown else ''}", highlight=False)


def _inputs(digests: Mapping[str, str | None]) -> str:
    """Names with eight characters of their digests; those without one are yet to be written."""
    return "\n".join(f"{name} {digest[:8]}" if digest else f"{name} (to come)" for name, digest in digests.items())


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else "< 1 s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
