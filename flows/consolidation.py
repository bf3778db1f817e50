"""One night: what was lived by day moves from the memory into the adapter, and has to prove itself.

teach ─▶ persist_store ─▶ replay_sample ─▶ sleep_distil ─▶ lora_train ─▶ evaluate ─▶ promote ─▶ report
└────────── pool `cpu` ───────────────┘   └──────── gpu-stages, pool `cuda` ──────┘  └── `cpu` ──┘

engram run consolidation/episodic                               in this process, without a server
prefect deployment run consolidation/episodic --watch           through the workers, after `make up`
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field

from pipeline.artifacts import RunFolder
from pipeline.config import RUN_ID, ConsolidationConfig, deployments, override_pattern
from pipeline.progress import Quiet, Terminal
from pipeline.stages.month import nights_before
from pipeline.stages.night import Night, begin
from pipeline.stages.order import STAGES
from tasks.evaluate import evaluate
from tasks.lora_train import lora_train
from tasks.persist_store import persist_store
from tasks.placement import (
    GPU_STAGES,
    Call,
    Result,
    StageReached,
    inline,
    judged,
    occupied,
    on_cuda_worker,
    only_stage,
    through_prefect,
    warn,
)
from tasks.promote import promote
from tasks.replay_sample import replay_sample
from tasks.report import report
from tasks.sleep_distil import sleep_distil
from tasks.teach import teach

# Prefect's server checks these before it creates a run.
Deployment = Annotated[str, Field(json_schema_extra={"enum": deployments("consolidation")})]
Override = Annotated[str, Field(json_schema_extra={"pattern": override_pattern(ConsolidationConfig)})]
StageName = Annotated[str, Field(json_schema_extra={"enum": [spec.name for spec in STAGES]})]
RunId = Annotated[str, Field(json_schema_extra={"pattern": RUN_ID})]


def by_day(call: Call) -> tuple[Result, Result, Result]:
    """What happens before sleep; the arguments of each task are what it reads."""
    taught = call(teach)
    stored = call(persist_store, taught)
    replayed = call(replay_sample, stored)
    return taught, stored, replayed


def asleep(call: Call, taught: Result, stored: Result, replayed: Result) -> tuple[Result, Result, Result]:
    """What needs the language model; training never receives ``taught``, where the test questions lie."""
    targets = call(sleep_distil, stored, replayed)
    adapter = call(lora_train, stored, replayed, targets)
    answers = call(evaluate, taught, stored, targets, adapter)
    return targets, adapter, answers


def by_morning(call: Call, *night: Result) -> Result:
    """Judge and report everything that happened."""
    verdict = call(promote, *night)
    return call(report, *night, verdict)


def run_inline(night: Night, shown: Terminal | Quiet, only: str | None = None) -> Result | None:
    """The whole night in this process, as plain functions; what ``engram run`` does. Of a month, every night.

    Args:
        night: The run.
        shown: Where progress is shown.
        only: The one stage to run; the result is None then.
    """
    try:
        for earlier in nights_before(night):
            _one_inline(earlier, shown, None)
        return _one_inline(night, shown, only)
    except StageReached as reached:
        night.stop_after(str(reached))
        return None


def _one_inline(night: Night, shown: Terminal | Quiet, only: str | None) -> Result:
    call = only_stage(inline(night.run, shown), night.run, only)
    day = by_day(call)
    return by_morning(call, *day, *asleep(call, *day))


@flow(name="gpu-stages", persist_result=False)
def gpu_stages(run: str, earlier: list[dict[str, Any]], only: StageName | None = None) -> list[dict[str, Any]]:
    """Distil, train and examine, each as its own task, on the GPU of this worker.

    Args:
        run: Path of the run's folder.
        earlier: Results of teach, persist_store and replay_sample.
        only: The one stage to run.
    """
    call = only_stage(through_prefect(run), RunFolder.at(Path(run)), only)
    try:
        with occupied():
            return list(asleep(call, *earlier))
    except StageReached:
        return []


@flow(name="consolidation", persist_result=False)
def consolidation(
    deployment: Deployment = "episodic",
    placement: Literal["inline", "workers"] = "inline",
    overrides: list[Override] | None = None,
    run_id: RunId | None = None,
    from_stage: StageName | None = None,
    only: StageName | None = None,
) -> dict[str, Any]:
    """One night as a Prefect flow; it ends as Completed, or as Rejected where a guard failed.

    Args:
        deployment: Which file of configs/consolidation/ to use.
        placement: ``workers`` sends the GPU stages to pool ``cuda``; ``inline`` keeps them here.
        overrides: Settings such as ``suite.n=8``.
        run_id: A new run's name, or an unfinished run to take up; null resumes or chooses.
        from_stage: Run this stage and all later ones again.
        only: Run this stage alone; earlier ones have to be finished.
    """
    settings = [*(overrides or []), f"placement={placement}"]
    with begin(f"consolidation/{deployment}", settings, run_id=run_id, start=from_stage, only=only, tell=warn) as night:
        try:
            for earlier in nights_before(night):
                _one_through_prefect(earlier, placement, None)
            _one_through_prefect(night, placement, only)
        except StageReached as reached:
            return night.stop_after(str(reached))
        outcome: dict[str, Any] = judged(night.outcome())
        return outcome


def _one_through_prefect(night: Night, placement: Literal["inline", "workers"], only: str | None) -> None:
    path = str(night.run.path)
    call = only_stage(through_prefect(path), night.run, only)
    day = by_day(call)
    if placement == "workers":
        slept = on_cuda_worker(night.run, *day, only=only if only in GPU_STAGES else None)
    else:
        slept = gpu_stages(path, list(day), only)
    if len(slept) < len(GPU_STAGES):
        raise StageReached(only)
    by_morning(call, *day, *slept)
