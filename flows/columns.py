"""One day and one night of the column network.

wake_train ─▶ persist_store ─▶ replay_sample ─▶ sleep_distil ─▶ evaluate ─▶ promote ─▶ report

engram run columns/soft-sleep                               in this process, without a server
prefect deployment run columns/soft-sleep --watch           through the worker of pool `cpu`, after `make up`
"""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from pipeline.columns.stages.order import STAGES
from pipeline.config import RUN_ID, ColumnsConfig, deployments, override_pattern
from pipeline.progress import Quiet, Terminal
from pipeline.stages.night import Night
from tasks.evaluate import evaluate
from tasks.one_place import run_as_flow, run_here
from tasks.persist_store import persist_store
from tasks.placement import Call, Result
from tasks.promote import promote
from tasks.replay_sample import replay_sample
from tasks.report import report
from tasks.sleep_distil import sleep_distil
from tasks.wake_train import wake_train

# Prefect's server checks these before it creates a run.
Deployment = Annotated[str, Field(json_schema_extra={"enum": deployments("columns")})]
Override = Annotated[str, Field(json_schema_extra={"pattern": override_pattern(ColumnsConfig)})]
StageName = Annotated[str, Field(json_schema_extra={"enum": [spec.name for spec in STAGES]})]
RunId = Annotated[str, Field(json_schema_extra={"pattern": RUN_ID})]


def day_and_night(call: Call) -> Result:
    """Every stage in order; the arguments of each task are what it reads."""
    woken = call(wake_train)
    stored = call(persist_store, woken)
    replayed = call(replay_sample, stored)
    slept = call(sleep_distil, woken, stored, replayed)
    measured = call(evaluate, woken, stored, replayed, slept)
    verdict = call(promote, woken, stored, replayed, slept, measured)
    return call(report, woken, stored, replayed, slept, measured, verdict)


def run_inline(night: Night, shown: Terminal | Quiet, only: str | None = None) -> Result | None:
    """What ``engram run`` calls: see `tasks.one_place.run_here`."""
    return run_here(day_and_night, night, shown, only)


@flow(name="columns", persist_result=False)
def columns(
    deployment: Deployment = "soft-sleep",
    overrides: list[Override] | None = None,
    run_id: RunId | None = None,
    from_stage: StageName | None = None,
    only: StageName | None = None,
) -> dict[str, Any]:
    """One day and one night as a Prefect flow; the network is small, so every stage runs where the flow runs.

    Args:
        deployment: Which file of configs/columns/ to use.
        overrides: Settings such as ``sleep.budget=200``.
        run_id: A new run's name, or an unfinished run to take up; null resumes or chooses.
        from_stage: Run this stage and all later ones again.
        only: Run this stage alone; earlier ones have to be finished.
    """
    return run_as_flow(day_and_night, f"columns/{deployment}", overrides, run_id, from_stage, only)
