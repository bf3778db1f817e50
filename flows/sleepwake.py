"""Sleep–wake memory: a byte model reads by day, with a memory, and learns by night what surprised it.

pretrain_byte_lm ─▶ pretrain_codebook ─▶ generate_episodes ─▶ wake ─▶ sleep ─▶ later_cycles ─▶ evaluate
─▶ promote ─▶ report; pretrain_codebook has work where `parts.measured` asks for it

engram run sleepwake/tiny                                       in this process, without a server
engram run sleepwake/tiny --set episodes.cycles=1               one day and one sleep
prefect deployment run sleepwake/tiny --watch                   through the worker of pool `cpu`, after `make up`
"""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from pipeline.config import RUN_ID, SleepWakeConfig, deployments, override_pattern
from pipeline.progress import Quiet, Terminal
from pipeline.sleepwake.stages.order import STAGES
from pipeline.stages.night import Night
from tasks.evaluate import evaluate
from tasks.generate_episodes import generate_episodes
from tasks.later_cycles import later_cycles
from tasks.one_place import run_as_flow, run_here
from tasks.placement import Call, Result, occupied
from tasks.pretrain_byte_lm import pretrain_byte_lm
from tasks.pretrain_codebook import pretrain_codebook
from tasks.promote import promote
from tasks.report import report
from tasks.sleep import sleep
from tasks.wake import wake

# Prefect's server checks these before it creates a run.
Deployment = Annotated[str, Field(json_schema_extra={"enum": deployments("sleepwake")})]
Override = Annotated[str, Field(json_schema_extra={"pattern": override_pattern(SleepWakeConfig)})]
StageName = Annotated[str, Field(json_schema_extra={"enum": [spec.name for spec in STAGES]})]
RunId = Annotated[str, Field(json_schema_extra={"pattern": RUN_ID})]


def days_and_nights(call: Call) -> Result:
    """Every stage in order; the arguments of each task are what it reads."""
    trained = call(pretrain_byte_lm)
    coded = call(pretrain_codebook)
    told = call(generate_episodes)
    woken = call(wake, trained, told)
    slept = call(sleep, trained, told, woken)
    later = call(later_cycles, trained, told, woken, slept)
    measured = call(evaluate, trained, coded, told, woken, slept, later)
    verdict = call(promote, trained, coded, told, woken, slept, later, measured)
    return call(report, trained, coded, told, woken, slept, later, measured, verdict)


def run_inline(night: Night, shown: Terminal | Quiet, only: str | None = None) -> Result | None:
    """What ``engram run`` calls: see `tasks.one_place.run_here`."""
    return run_here(days_and_nights, night, shown, only)


@flow(name="sleepwake", persist_result=False)
def sleepwake(
    deployment: Deployment = "tiny",
    overrides: list[Override] | None = None,
    run_id: RunId | None = None,
    from_stage: StageName | None = None,
    only: StageName | None = None,
) -> dict[str, Any]:
    """Days and nights as a Prefect flow; every stage runs where the flow runs, on a GPU's worker alone with it.

    Args:
        deployment: Which file of configs/sleepwake/ to use.
        overrides: Settings such as ``episodes.facts=64``.
        run_id: A new run's name, or an unfinished run to take up; null resumes or chooses.
        from_stage: Run this stage and all later ones again.
        only: Run this stage alone; earlier ones have to be finished.
    """
    with occupied():
        return run_as_flow(days_and_nights, f"sleepwake/{deployment}", overrides, run_id, from_stage, only)
