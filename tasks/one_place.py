"""Flows whose every stage runs where the flow runs: plainly in this process, or as Prefect tasks of one flow run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.progress import Quiet, Terminal
from pipeline.stages.night import Night, begin
from tasks.placement import Call, Result, StageReached, inline, judged, only_stage, through_prefect, warn

Stages = Callable[[Call], Result]
"""Calls every stage in order, and returns what the last one did."""


def run_here(stages: Stages, night: Night, shown: Terminal | Quiet, only: str | None = None) -> Result | None:
    """Everything in this process, as plain functions; what ``engram run`` does.

    Args:
        stages: The flow's.
        night: The run.
        shown: Where progress is shown.
        only: The one stage to run; the result is None then.
    """
    try:
        return stages(only_stage(inline(night.run, shown), night.run, only))
    except StageReached as reached:
        night.stop_after(str(reached))
        return None


def run_as_flow(
    stages: Stages,
    target: str,
    overrides: list[str] | None,
    run_id: str | None,
    start: str | None,
    only: str | None,
) -> dict[str, Any]:
    """Everything as task runs of the current flow run; returns its outcome, `Rejected` where a guard failed.

    Args:
        stages: The flow's.
        target: FLOW/DEPLOYMENT.
        overrides: Settings, a.b=c.
        run_id: A new run's name, or an unfinished run to take up; None resumes or chooses.
        start: Run this stage and all later ones again.
        only: Run this stage alone; earlier ones have to be finished.
    """
    with begin(target, overrides or [], run_id=run_id, start=start, only=only, tell=warn) as night:
        try:
            stages(only_stage(through_prefect(str(night.run.path)), night.run, only))
        except StageReached as reached:
            return night.stop_after(str(reached))
        outcome: dict[str, Any] = judged(night.outcome())
        return outcome
