"""A needle memory: splits of sequences, a training under the gate of its contrastive loss, an examination.

persist_store ─▶ wake_train ─▶ evaluate ─▶ promote ─▶ report

engram run needle/len256                                        in this process, without a server
engram run needle/len256 --set emma.writes=learned              the model finds out by itself where to write
prefect deployment run needle/len256 --watch                    through the worker of pool `cpu`, after `make up`
"""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from pipeline.config import RUN_ID, NeedleConfig, deployments, override_pattern
from pipeline.needle.stages.order import STAGES
from pipeline.progress import Quiet, Terminal
from pipeline.stages.night import Night
from tasks.evaluate import evaluate
from tasks.one_place import run_as_flow, run_here
from tasks.persist_store import persist_store
from tasks.placement import Call, Result
from tasks.promote import promote
from tasks.report import report
from tasks.wake_train import wake_train

# Prefect's server checks these before it creates a run.
Deployment = Annotated[str, Field(json_schema_extra={"enum": deployments("needle")})]
Override = Annotated[str, Field(json_schema_extra={"pattern": override_pattern(NeedleConfig)})]
StageName = Annotated[str, Field(json_schema_extra={"enum": [spec.name for spec in STAGES]})]
RunId = Annotated[str, Field(json_schema_extra={"pattern": RUN_ID})]


def every_stage(call: Call) -> Result:
    """Every stage in order; the arguments of each task are what it reads."""
    stored = call(persist_store)
    trained = call(wake_train, stored)
    measured = call(evaluate, stored, trained)
    verdict = call(promote, stored, trained, measured)
    return call(report, stored, trained, measured, verdict)


def run_inline(night: Night, shown: Terminal | Quiet, only: str | None = None) -> Result | None:
    """What ``engram run`` calls: see `tasks.one_place.run_here`."""
    return run_here(every_stage, night, shown, only)


@flow(name="needle", persist_result=False)
def needle(
    deployment: Deployment = "len256",
    overrides: list[Override] | None = None,
    run_id: RunId | None = None,
    from_stage: StageName | None = None,
    only: StageName | None = None,
) -> dict[str, Any]:
    """One training and its examination as a Prefect flow; every stage runs where the flow runs.

    Args:
        deployment: Which file of configs/needle/ to use.
        overrides: Settings such as ``data.n_pairs=8``.
        run_id: A new run's name, or an unfinished run to take up; null resumes or chooses.
        from_stage: Run this stage and all later ones again.
        only: Run this stage alone; earlier ones have to be finished.
    """
    return run_as_flow(every_stage, f"needle/{deployment}", overrides, run_id, from_stage, only)
